//! DER elements (X.690), as far as keys and certificates have to be told apart for TLSA records and DKIM keys.
//!
//! A certificate that a strict parser rejects still has a key that can be matched: only the way to it is read.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    /// With tag and length.
    pub(super) raw: &'a [u8],
    pub(super) content: &'a [u8],
}

/// The tag of the first element, the octets of its tag and length, and those of its content, which need not be there.
pub(super) fn header(input: &[u8]) -> Option<(u8, usize, usize)> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if first < 0x80 {
        return Some((tag, 2, usize::from(first)));
    }
    // Three octets hold every length that a message of the DNS or of TLS can have.
    let count = usize::from(first & 0x7f);
    let octets = rest.get(..count).filter(|_| (1..=3).contains(&count))?;
    Some((tag, 2 + count, octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet))))
}

/// Takes the first element off the input.
pub(super) fn take<'a>(input: &mut &'a [u8]) -> Option<Element<'a>> {
    let (tag, header, content) = header(input)?;
    let (raw, rest) = input.split_at_checked(header + content)?;
    *input = rest;
    Some(Element { tag, raw, content: &raw[header..] })
}

/// The parts of a certificate (RFC 5280, section 4.1) that matter here, each in DER with its tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct CertificateParts<'a> {
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    /// The subjectPublicKeyInfo.
    pub(super) key: &'a [u8],
}

/// Reads a certificate. `None` if these octets are none, or more than one.
pub(super) fn certificate(mut input: &[u8]) -> Option<CertificateParts<'_>> {
    let mut body = take(&mut input).filter(|element| element.tag == SEQUENCE)?.content;
    let mut fields = take(&mut body).filter(|element| element.tag == SEQUENCE && input.is_empty())?.content;
    let mut rest = fields;
    if take(&mut rest)?.tag == VERSION {
        fields = rest;
    }
    let _serial = take(&mut fields).filter(|element| element.tag == INTEGER)?;
    let _algorithm = take(&mut fields)?;
    let issuer = take(&mut fields)?.raw;
    let _validity = take(&mut fields)?;
    let subject = take(&mut fields)?.raw;
    let key = take(&mut fields)?.raw;
    is_public_key(key).then_some(CertificateParts { issuer, subject, key })
}

/// Whether these octets have the form of a subjectPublicKeyInfo (RFC 5280, section 4.1.2.7), and nothing else.
pub(super) fn is_public_key(mut input: &[u8]) -> bool {
    let Some(outer) = take(&mut input).filter(|element| element.tag == SEQUENCE && input.is_empty()) else {
        return false;
    };
    let mut content = outer.content;
    let tags = [take(&mut content), take(&mut content)].map(|element| element.map(|element| element.tag));
    tags == [Some(SEQUENCE), Some(BIT_STRING)] && content.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_element_is_taken_with_any_form_of_length() {
        let long = [&[4, 0x82, 1, 0], &[7; 256][..]].concat();
        let cases: [(&[u8], Option<usize>); 8] = [
            (&[4, 1, 7], Some(3)),
            (&[4, 0x81, 1, 7, 9], Some(4)),
            (&long, Some(260)),
            (&[4, 2, 7], None),
            (&[4, 0x80, 7], None),
            (&[4, 0x84, 0, 0, 0, 1, 7], None),
            (&[4], None),
            (&[], None),
        ];
        for (input, size) in cases {
            assert_eq!(take(&mut &*input).map(|element| element.raw.len()), size, "{input:?}");
        }
    }

    #[test]
    fn the_key_of_a_certificate_is_found_and_other_octets_are_no_certificate() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::new(vec!["mx.example".to_owned()])
            .and_then(|parameters| parameters.self_signed(&key))
            .expect("a certificate");
        let der = certificate.der().to_vec();
        let parts = super::certificate(&der).expect("its parts");
        assert!(is_public_key(parts.key));
        assert_eq!(parts.issuer, parts.subject);
        assert!(super::certificate(parts.key).is_none());
        assert!(!is_public_key(&der));
        assert!(super::certificate(&der[..der.len() - 1]).is_none());
        assert!(super::certificate(&[&der[..], &[0]].concat()).is_none());
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = certificate(&octets);
            let _ = is_public_key(&octets);
        }
    }
}
