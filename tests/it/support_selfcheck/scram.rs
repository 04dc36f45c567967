//! The vector of RFC 7677, section 3.

use crate::support::scram::Scram;

#[test]
fn proof_and_signature_are_those_of_rfc_7677() {
    let scram = Scram::new("pencil", 4096);
    let first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    assert_eq!(scram.first(first), format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
    let last = format!("c=biws,r={nonce}");
    assert_eq!(scram.proof(first, &last), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert_eq!(scram.signature(first, &last), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}
