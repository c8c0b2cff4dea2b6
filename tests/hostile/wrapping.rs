//! Signature wrapping at the access point: somebody else's signature over something else than what is read
//! (McIntosh and Austel 2005; Gajek, Jensen, Liao and Schwenk 2009; Somorovsky and others 2012).

use brevbro::as4::Code;

use crate::common::soap::cut;
use crate::request::{read_the_same, refused, world};

const DS: &str = "xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"";

/// The header as the attacker would have it, and under another id.
fn evil(soap: &str) -> String {
    cut(soap, "eb:Messaging").replace("0203:habo.se", "0203:evil.se").replace("wsu:Id=\"messaging-", "wsu:Id=\"evil-")
}

/// The value of the first id that begins so.
fn id(soap: &str, prefix: &str) -> String {
    let rest = soap.split(&format!("wsu:Id=\"{prefix}")).nth(1).unwrap();
    format!("{prefix}{}", rest.split('"').next().unwrap())
}

/// The attacker's header in the place of the signed one, which goes to where `from` becomes `to`, as `@`.
fn messaging_moved(soap: &str, from: &str, to: &str) -> String {
    let original = cut(soap, "eb:Messaging");
    let away = soap.replace(original, &evil(soap));
    assert!(away.contains(from), "{from}");
    away.replacen(from, &to.replace('@', original), 1)
}

macro_rules! attacks {
    ($($name:ident: $code:ident, $edit:expr;)*) => {
        $(#[test] fn $name() { refused(Code::$code, &$edit); })*
    };
}

attacks! {
    a_header_moved_into_an_object_of_the_signature: FailedAuthentication, |s: &str| messaging_moved(s, "</ds:Signature>", "<ds:Object>@</ds:Object></ds:Signature>");
    a_header_moved_into_the_key_info: FailedAuthentication, |s: &str| messaging_moved(s, "</ds:KeyInfo></ds:Signature>", "@</ds:KeyInfo></ds:Signature>");
    a_header_moved_into_the_body: FailedAuthentication, |s: &str| {
        let body = cut(s, "S12:Body").to_owned();
        messaging_moved(s, &body, &body.replace("/>", ">@</S12:Body>"))
    };
    a_header_moved_behind_the_body: FailedAuthentication, |s: &str| messaging_moved(s, "</S12:Envelope>", "@</S12:Envelope>");
    a_header_moved_before_the_header: FailedAuthentication, |s: &str| messaging_moved(s, "<S12:Header>", "<w>@</w><S12:Header>");
    a_header_moved_into_a_block_for_another_role: FailedAuthentication,
        |s: &str| messaging_moved(s, "<S12:Header>", "<S12:Header><w S12:role=\"http://www.w3.org/2003/05/soap-envelope/role/none\" S12:mustUnderstand=\"0\">@</w>");
    a_header_moved_into_the_attackers_own: FailedAuthentication, |s: &str| messaging_moved(s, "</eb:UserMessage>", "@</eb:UserMessage>");
    the_attackers_header_around_the_signed_one: FeatureNotSupported, |s: &str| {
        let original = cut(s, "eb:Messaging");
        let open = &original[..=original.find('>').unwrap()];
        s.replace(original, &format!("{}{}{original}</eb:Messaging>", open.replace("\"messaging-", "\"evil-"), cut(original, "eb:UserMessage").replace("0203:habo.se", "0203:evil.se")))
    };
    a_signed_header_beside_the_attackers: InvalidHeader, |s: &str| s.replace(cut(s, "eb:Messaging"), &format!("{}{}", evil(s), cut(s, "eb:Messaging")));
    an_attackers_header_under_xml_id: FailedAuthentication, |s: &str| {
        let id = id(s, "messaging-");
        let own = evil(s).replace(&format!("wsu:Id=\"evil-{}\"", &id[10..]), &format!("xml:id=\"{id}\""));
        let original = cut(s, "eb:Messaging");
        s.replace(original, &own).replace("</S12:Envelope>", &format!("<w>{original}</w></S12:Envelope>"))
    };
    an_attackers_header_under_a_plain_id: FailedAuthentication, |s: &str| {
        let id = id(s, "messaging-");
        let own = evil(s).replace(&format!("wsu:Id=\"evil-{}\"", &id[10..]), &format!("Id=\"{id}\""));
        let original = cut(s, "eb:Messaging");
        s.replace(original, &own).replace("</S12:Envelope>", &format!("<w>{original}</w></S12:Envelope>"))
    };
    an_attackers_header_with_both_ids: FailedAuthentication, |s: &str| {
        let id = id(s, "messaging-");
        let own = evil(s).replace("wsu:Id=", &format!("Id=\"{id}\" wsu:Id="));
        let original = cut(s, "eb:Messaging");
        s.replace(original, &own).replace("</ds:Signature>", &format!("<ds:Object>{original}</ds:Object></ds:Signature>"))
    };
    the_id_again_on_an_object: FailedAuthentication, |s: &str| s.replace("</ds:Signature>", &format!("<ds:Object Id=\"{}\"/></ds:Signature>", id(s, "messaging-")));
    the_id_again_as_xml_id: FailedAuthentication, |s: &str| s.replace("</S12:Header>", &format!("<w xml:id=\"{}\"/></S12:Header>", id(s, "body-")));
    the_id_again_with_white_space: FailedAuthentication, |s: &str| s.replace("</S12:Header>", &format!("<w xml:id=\" {} \"/></S12:Header>", id(s, "body-")));
    the_id_again_in_capitals: FailedAuthentication, |s: &str| s.replace("</S12:Header>", &format!("<w ID=\"{}\"/></S12:Header>", id(s, "messaging-")));
    the_id_again_by_a_character_reference: FailedAuthentication,
        |s: &str| s.replace("</S12:Header>", &format!("<w Id=\"&#x6d;{}\"/></S12:Header>", &id(s, "messaging-")[1..]));
    a_reference_to_a_sibling_of_the_header: FailedAuthentication, |s: &str| {
        let original = cut(s, "eb:Messaging");
        let open = &original[..=original.find('>').unwrap()];
        let sibling = original.replace(open, &open.replace("eb:Messaging", "eb:Sibling")).replace("</eb:Messaging>", "</eb:Sibling>").replace(" S12:mustUnderstand=", " x=");
        s.replace(original, &format!("{sibling}{}", evil(s)))
    };
    a_body_moved_into_the_security_header: FailedAuthentication, |s: &str| {
        let body = cut(s, "S12:Body");
        s.replace(body, "<S12:Body><evil/></S12:Body>").replace("</wsse:Security>", &format!("{body}</wsse:Security>"))
    };
    a_body_moved_into_an_object_of_the_signature: FailedAuthentication, |s: &str| {
        let body = cut(s, "S12:Body");
        s.replace(body, "<S12:Body/>").replace("</ds:Signature>", &format!("<ds:Object>{body}</ds:Object></ds:Signature>"))
    };
    a_body_moved_into_the_attackers_body: FailedAuthentication, |s: &str| {
        let body = cut(s, "S12:Body");
        s.replace(body, &format!("<S12:Body>{body}</S12:Body>"))
    };
    a_body_of_another_namespace: InvalidHeader, |s: &str| s.replace(cut(s, "S12:Body"), "<Body xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\"/>");
    a_signature_outside_of_the_security_header: PolicyNoncompliance, |s: &str| {
        let signature = cut(s, "ds:Signature");
        s.replace(signature, "").replace("</S12:Header>", &format!("{signature}</S12:Header>"))
    };
    a_signature_wrapped_inside_the_security_header: PolicyNoncompliance, |s: &str| {
        let signature = cut(s, "ds:Signature");
        s.replace(signature, &format!("<w>{signature}</w>"))
    };
    a_signature_of_another_namespace: PolicyNoncompliance, |s: &str| s.replace("http://www.w3.org/2000/09/xmldsig#\"", "http://www.w3.org/2000/09/xmldsig\"");
    the_signature_twice: FailedAuthentication, |s: &str| s.replace(cut(s, "ds:Signature"), &cut(s, "ds:Signature").replace(" Id=", " x=").repeat(2));
    an_empty_signature_before_the_good_one: FailedAuthentication, |s: &str| s.replace(cut(s, "ds:Signature"), &format!("<ds:Signature {DS}/>{}", cut(s, "ds:Signature")));
    a_second_signed_info: FailedAuthentication, |s: &str| s.replace("</ds:SignedInfo>", &format!("</ds:SignedInfo>{}", cut(s, "ds:SignedInfo")));
    a_second_key_info: FailedAuthentication, |s: &str| s.replace("</ds:SignatureValue>", "</ds:SignatureValue><ds:KeyInfo/>");
    a_second_security_header_behind: InvalidHeader, |s: &str| s.replace("</wsse:Security>", "</wsse:Security><wsse:Security xmlns:wsse=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\"/>");
    a_second_security_header_for_another_role: InvalidHeader, |s: &str| s.replace("<S12:Header>", "<S12:Header><wsse:Security S12:role=\"urn:x\" xmlns:wsse=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\"/>");
    a_second_header_before: InvalidHeader, |s: &str| s.replace("<S12:Header>", "<S12:Header/><S12:Header>");
    a_second_header_behind_the_body: InvalidHeader, |s: &str| s.replace("</S12:Envelope>", &format!("<S12:Header>{}</S12:Header></S12:Envelope>", evil(s)));
    a_second_envelope_inside: InvalidHeader, |s: &str| {
        let start = s.find("<S12:Envelope").unwrap();
        let open = &s[start..=start + s[start..].find('>').unwrap()];
        format!("{}{open}{}</S12:Envelope>", &s[..start], &s[start..])
    };
    a_prefix_of_the_ids_that_means_something_else: FailedAuthentication, |s: &str| s.replace("oasis-200401-wss-wssecurity-utility-1.0.xsd", "oasis-200401-wss-wssecurity-utility-1.1.xsd");
    a_prefix_of_the_header_that_means_something_else: InvalidHeader, |s: &str| s.replace("ebms/v3.0/ns/core/200704/\"", "ebms/v3.0/ns/core/200705/\"");
    an_attackers_header_by_another_prefix: InvalidHeader, |s: &str| {
        let other = evil(s).replace("eb:", "evil:").replace("xmlns:eb", "xmlns:evil");
        s.replace("<S12:Header>", &format!("<S12:Header>{other}"))
    };
    a_namespace_put_into_what_is_signed: FailedAuthentication, |s: &str| s.replace("<eb:UserMessage>", "<eb:UserMessage xmlns=\"urn:evil\"><x/>").replace("<x/>", "<x>y</x>");
    an_attachment_without_its_signature: PolicyNoncompliance, |s: &str| {
        // The whole signature must go, or its value breaks: then there is none.
        s.replace(cut(s, "ds:Signature"), "")
    };
    a_reference_to_the_attachment_taken_out: FailedAuthentication, |s: &str| {
        let start = s.find("<ds:Reference URI=\"cid:message\"").unwrap();
        let end = start + s[start..].find("</ds:Reference>").unwrap() + 15;
        format!("{}{}", &s[..start], &s[end..])
    };
    a_part_info_that_names_another_part: FailedAuthentication, |s: &str| s.replace("<eb:PartInfo href=\"cid:message\"", "<eb:PartInfo href=\"cid:other\"");
    an_encryption_that_names_another_part: PolicyNoncompliance, |s: &str| s.replace("CipherReference URI=\"cid:message\"", "CipherReference URI=\"cid:other\"");
    an_entity_in_the_header: InvalidHeader, |s: &str| s.replace("0203:habo.se", "&evil;");
    an_entity_that_is_declared: InvalidHeader, |s: &str| s.replace("<S12:Envelope", "<!DOCTYPE S12:Envelope [<!ENTITY evil \"0203:evil.se\">]><S12:Envelope").replace("0203:habo.se", "&evil;");
    an_id_by_default_attribute: InvalidHeader, |s: &str| s.replace("<S12:Envelope", "<!DOCTYPE S12:Envelope [<!ATTLIST w Id ID \"messaging-1\">]><S12:Envelope");
    an_external_parameter_entity: InvalidHeader, |s: &str| s.replace("<S12:Envelope", "<!DOCTYPE x [<!ENTITY % p SYSTEM \"file:///etc/passwd\"> %p;]><S12:Envelope");
    a_character_that_xml_forbids: InvalidHeader, |s: &str| s.replace("0203:habo.se", "0203:habo.se&#0;");
    a_second_document_before: InvalidHeader, |s: &str| s.replace("</S12:Envelope>", "<!-- --></S12:Envelope>").replace("<S12:Envelope", "<x/><S12:Envelope");
    another_certificate_in_the_key_info: FailedAuthentication, |s: &str| s.replace(&world().sender.certificate.to_base64(), &world().stranger.certificate.to_base64());
    another_certificate_beside_the_token: FailedAuthentication, |s: &str| {
        let info = cut(cut(s, "ds:Signature"), "ds:KeyInfo").to_owned();
        let other = world().stranger.certificate.to_base64();
        s.replace(&info, &format!("<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{other}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"))
    };
    a_key_value_instead_of_a_certificate: FailedAuthentication, |s: &str| {
        let info = cut(cut(s, "ds:Signature"), "ds:KeyInfo").to_owned();
        s.replace(&info, "<ds:KeyInfo><ds:KeyValue><ds:RSAKeyValue><ds:Modulus>AQAB</ds:Modulus><ds:Exponent>AQAB</ds:Exponent></ds:RSAKeyValue></ds:KeyValue></ds:KeyInfo>")
    };
    two_tokens_with_one_id: FailedAuthentication, |s: &str| {
        let at = s.rfind("<wsse:BinarySecurityToken").unwrap();
        let token = cut(&s[at..], "wsse:BinarySecurityToken");
        let other = token.replace(&world().sender.certificate.to_base64(), &world().stranger.certificate.to_base64());
        s.replace(token, &format!("{other}{token}"))
    };
    a_token_reference_beside_another: FailedAuthentication, |s: &str| {
        let info = cut(cut(s, "ds:Signature"), "ds:KeyInfo").to_owned();
        let reference = cut(&info, "wsse:SecurityTokenReference");
        s.replace(&info, &info.replace(reference, &reference.repeat(2)))
    };
    the_token_inside_of_the_header: FailedAuthentication, |s: &str| {
        let at = s.rfind("<wsse:BinarySecurityToken").unwrap();
        let token = cut(&s[at..], "wsse:BinarySecurityToken").to_owned();
        s.replace(&token, &format!("<w>{token}</w>"))
    };
    the_id_again_in_another_case_of_its_name: FailedAuthentication, |s: &str| s.replace("</S12:Header>", &format!("<w iD=\"{}\"/></S12:Header>", id(s, "body-")));
    the_id_again_under_the_utility_name_in_capitals: FailedAuthentication, |s: &str| {
        let wsu = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
        s.replace("</S12:Header>", &format!("<w xmlns:u=\"{wsu}\" u:ID=\"{}\"/></S12:Header>", id(s, "messaging-")))
    };
    an_attachment_that_is_encrypted_twice: MimeInconsistency, |s: &str| {
        let data = cut(s, "xenc:EncryptedData").to_owned();
        s.replace(&data, &format!("{data}{}", data.replace(" Id=\"ED-", " Id=\"ED2-")))
    };
    an_encrypted_header: PolicyNoncompliance, |s: &str| {
        let data = cut(s, "xenc:EncryptedData").to_owned();
        s.replace(&data, &data.replace("oasis-wss-SwAProfile-1.1#Attachment-Content-Only", "x").replace("http://docs.oasis-open.org/wss/x", "http://www.w3.org/2001/04/xmlenc#Element"))
    };
    a_retrieval_method_instead_of_a_certificate: FailedAuthentication, |s: &str| {
        let info = cut(cut(s, "ds:Signature"), "ds:KeyInfo").to_owned();
        s.replace(&info, "<ds:KeyInfo><ds:RetrievalMethod URI=\"http://127.0.0.1:9/key\"/></ds:KeyInfo>")
    };
}

/// Where comments and sections split a text, some readers see its first piece only while the signature covers the whole.
#[test]
fn a_comment_that_splits_a_value_takes_nothing_off_it() {
    read_the_same(&|s| s.replace("0203:arbetsformedlingen.se", "0203:arbets<!-- -->formedlingen.se"));
    read_the_same(&|s| s.replace("0203:arbetsformedlingen.se", "<![CDATA[0203:arbets]]>formedlingen.se"));
    read_the_same(&|s| s.replace("0203:arbetsformedlingen.se", "0203:arbets&#102;ormedlingen.se"));
    read_the_same(&|s| s.replace("<ds:DigestValue>", "<ds:DigestValue><!-- x -->"));
    // An access point whose name begins like another's (the trick that SAML fell for).
    read_the_same(&|s| s.replace(">AP0001-SDK-TEST<", ">AP0001<!-- -->-SDK-TEST<"));
    read_the_same(&|s| s.replace("@ap.habo.se</eb:MessageId>", "<!-- -->@ap.habo.se</eb:MessageId>"));
    read_the_same(&|s| s.replace(&world().sender.certificate.to_base64(), &world().sender.certificate.to_base64().replace('A', "A<!-- B -->")));
}

#[test]
fn an_instruction_that_splits_a_value_breaks_the_signature() {
    refused(Code::FailedAuthentication, &|s| s.replace("0203:arbetsformedlingen.se", "0203:arbets<?x y?>formedlingen.se"));
}

/// An element with the attachment's name as its id is not the attachment, and an attachment with an element's id not the element.
#[test]
fn ids_and_content_ids_are_worlds_apart() {
    let wsu = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
    read_the_same(&|s| s.replace("</S12:Header>", &format!("<w xmlns:u=\"{wsu}\" u:Id=\"message\"/><w Id=\"cid:message\"/></S12:Header>")));
    refused(Code::FailedAuthentication, &|s| s.replace("URI=\"cid:message\"><ds:Transforms>", "URI=\"#message\"><ds:Transforms>"));
}

/// The attacker's part before or behind the good one, under its name.
#[test]
fn two_parts_with_one_content_id_are_refused() {
    use crate::request::{BOUNDARY, opened};
    let delimiter = format!("\r\n--{BOUNDARY}\r\n").into_bytes();
    let body = &world().body;
    let second = body.windows(delimiter.len()).rposition(|w| w == delimiter).unwrap();
    let end = body.len() - format!("\r\n--{BOUNDARY}--\r\n").len();
    let evil = format!("\r\n--{BOUNDARY}\r\nContent-ID: <message>\r\n\r\nevil").into_bytes();
    let before = [&body[..second], &evil, &body[second..]].concat();
    let behind = [&body[..end], &evil, &body[end..]].concat();
    let again = [&body[..end], &body[second..]].concat();
    for (what, changed, code) in
        [("before", before, Code::FailedDecryption), ("behind", behind, Code::MimeInconsistency), ("the same again", again, Code::MimeInconsistency)]
    {
        let refusal = opened(&changed).unwrap_err();
        assert!(refusal.error.is(code), "{what}: {refusal}");
    }
}

/// What nobody reads is no attack: it is left alone and changes nothing.
#[test]
fn an_id_of_another_namespace_is_none() {
    read_the_same(&|s| s.replace("</S12:Header>", &format!("<w xmlns:x=\"urn:x\" x:Id=\"{}\"/></S12:Header>", id(s, "messaging-"))));
}
