//! The names of the variants: `serde` writes them in JSON, `strum` everywhere else. Both must be the same.

use serde::Serialize;
use smtp_check::{
    check::request::{SaslAuthentication, StopAfter, TlsVerify, TlsVersion},
    destination::IpFamily,
    phase::{Clock, Phase},
    proxy_header::ProxyFamily,
    report::{FailureKind, Outcome},
    smtp::Protocol,
    x509::problem::CertificateErrorKind,
};
use strum::VariantArray;

#[test]
fn strum_and_serde_give_each_variant_the_same_name() {
    assert_same_names::<CertificateErrorKind>();
    assert_same_names::<Clock>();
    assert_same_names::<FailureKind>();
    assert_same_names::<IpFamily>();
    assert_same_names::<Outcome>();
    assert_same_names::<Phase>();
    assert_same_names::<Protocol>();
    assert_same_names::<ProxyFamily>();
    assert_same_names::<SaslAuthentication>();
    assert_same_names::<StopAfter>();
    assert_same_names::<TlsVerify>();
    assert_same_names::<TlsVersion>();
}

#[test]
fn a_phase_to_stop_after_has_the_name_of_the_phase() {
    for stop in StopAfter::VARIANTS {
        assert_eq!(<&str>::from(stop), stop.phase().name());
    }
}

fn assert_same_names<T>()
where
    T: VariantArray + Copy + Serialize + Into<&'static str>,
{
    for variant in T::VARIANTS {
        let name: &str = (*variant).into();
        assert_eq!(serde_json::to_value(variant).ok(), Some(name.into()));
    }
}
