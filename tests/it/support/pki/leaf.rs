//! A server certificate, described field by field.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, SigningKey, date_time_ymd,
};
use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::{Identity, openssl::OpenSslRsa};

/// The contents of a certificate. Default: valid from 2020 to 2045, with a P-256 key, for a TLS server.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    params: CertificateParams,
    key_type: KeyType,
}

/// The kind of key that a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyType {
    /// ECDSA on P-256.
    EcdsaP256,
    /// Ed25519.
    Ed25519,
    /// RSA, 2048 bits.
    Rsa2048,
    /// RSA, 1024 bits: too short for today's libraries to sign or verify. Made by `openssl`.
    Rsa1024,
}

impl Leaf {
    /// A certificate for one name or IP address, which is its common name too.
    pub(crate) fn for_name(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2045, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        Self { params, key_type: KeyType::EcdsaP256 }.common_name(name).and_name(name)
    }

    /// Adds a name or IP address to the subject alternative names.
    pub(crate) fn and_name(mut self, name: &str) -> Self {
        let named = CertificateParams::new([name.to_owned()]).expect("a name of a test is ASCII");
        self.params.subject_alt_names.extend(named.subject_alt_names);
        self
    }

    /// No subject alternative name: the name is only in the common name, which clients ignore today (RFC 9525).
    pub(crate) fn without_alternative_names(mut self) -> Self {
        self.params.subject_alt_names.clear();
        self
    }

    /// The subject's common name.
    pub(crate) fn common_name(mut self, name: &str) -> Self {
        self.params.distinguished_name.push(DnType::CommonName, name);
        self
    }

    /// Adds an organization to the subject.
    pub(crate) fn organization(mut self, name: &str) -> Self {
        self.params.distinguished_name.push(DnType::OrganizationName, name);
        self
    }

    /// Start of the validity.
    pub(crate) fn not_before(mut self, at: OffsetDateTime) -> Self {
        self.params.not_before = at;
        self
    }

    /// End of the validity.
    pub(crate) fn not_after(mut self, at: OffsetDateTime) -> Self {
        self.params.not_after = at;
        self
    }

    /// Valid in 2020 only.
    pub(crate) fn expired(self) -> Self {
        self.not_before(date_time_ymd(2020, 1, 1)).not_after(date_time_ymd(2021, 1, 1))
    }

    /// Valid in 2044 only.
    pub(crate) fn not_yet_valid(self) -> Self {
        self.not_before(date_time_ymd(2044, 1, 1)).not_after(date_time_ymd(2045, 1, 1))
    }

    /// The extended key usages; none leaves the extension out.
    pub(crate) fn extended_key_usages(mut self, usages: &[ExtendedKeyUsagePurpose]) -> Self {
        self.params.extended_key_usages = usages.to_vec();
        self
    }

    /// For a TLS client, not for a server.
    pub(crate) fn client_only(self) -> Self {
        self.extended_key_usages(&[ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// The key usages; none leaves the extension out.
    pub(crate) fn key_usages(mut self, usages: &[KeyUsagePurpose]) -> Self {
        self.params.key_usages = usages.to_vec();
        self
    }

    /// Marked as the certificate of an authority (`CA:TRUE`).
    pub(crate) fn marked_as_ca(mut self) -> Self {
        self.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self
    }

    /// The kind of its key.
    pub(crate) fn key_type(mut self, key_type: KeyType) -> Self {
        self.key_type = key_type;
        self
    }

    /// Signs the certificate with its own key.
    pub(crate) fn self_signed(self) -> Identity {
        let (params, key) = self.into_parts();
        let certificate = params.self_signed(&&*key.subject).expect("rcgen signs its own parameters");
        Identity { chain: vec![certificate.der().clone()], key: key.private }
    }

    pub(super) fn into_parts(self) -> (CertificateParams, LeafKey) {
        (self.params, self.key_type.generate())
    }
}

/// A new key, in the forms of rcgen and of rustls.
pub(super) struct LeafKey {
    pub(super) subject: Box<dyn SigningKey>,
    pub(super) private: PrivateKeyDer<'static>,
}

impl KeyType {
    fn generate(self) -> LeafKey {
        let algorithm = match self {
            Self::EcdsaP256 => &PKCS_ECDSA_P256_SHA256,
            Self::Ed25519 => &PKCS_ED25519,
            Self::Rsa2048 => &PKCS_RSA_SHA256,
            Self::Rsa1024 => {
                let key = OpenSslRsa::generate(1024);
                return LeafKey { private: key.private_key(), subject: Box::new(key) };
            }
        };
        let pair = KeyPair::generate_for(algorithm).expect("aws-lc makes keys of all these kinds");
        let private = PrivateKeyDer::try_from(pair.serialize_der()).expect("rcgen writes PKCS #8");
        LeafKey { subject: Box::new(pair), private }
    }
}
