//! The binding to libxmlsec1: the one file with `unsafe`.
//!
//! Three jobs, each a function that takes bytes and gives bytes: [`sign`], [`verify`], [`encrypt`]. What may be in the
//! documents is decided before, on our own tree, in `signature` and `encryption`; here libxmlsec1 is told the same
//! limits once more, because its defaults fetch references over the network and from files. libxml2's trees and
//! libxmlsec1's contexts are neither `Send` nor shared: they are made and freed inside one call.
//!
//! The crate `xmlsec` has no encryption, so the few functions for it are declared here; their structs are those of the
//! crate's generated bindings, except for the beginning of `xmlSecEncCtx` (xmlsec/xmlenc.h), which is written out.
//!
//! Decryption is not here: libxmlsec1 1.2 knows too few forms of OAEP, and its errors tell apart what must look alike.
#![expect(unsafe_code, reason = "calls into libxmlsec1 and libxml2")]

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::Once;

use libxml::parser::{Parser, ParserOptions};
use libxml::tree::{Document, Node};
use openssl::rand::rand_bytes;
use xmlsec::{XmlSecKey, XmlSecKeyFormat, XmlSecSignatureContext, bindings};
use zeroize::Zeroizing;

use super::{Certificate, PrivateKey};

/// libxmlsec1 or libxml2 could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step} failed{}", self.detail())]
pub struct LibraryError {
    /// The call.
    pub step: &'static str,
    /// The functions of the library that complained and their error numbers; never content.
    pub trace: Vec<String>,
}

impl LibraryError {
    fn new(step: &'static str) -> Self {
        Self { step, trace: take_trace() }
    }

    fn detail(&self) -> String {
        if self.trace.is_empty() { String::new() } else { format!(" ({})", self.trace.join(", ")) }
    }
}

/// What signing computes, in base64 without white space.
pub(super) struct SignatureValues {
    pub(super) digest: String,
    pub(super) value: String,
}

/// Computes the digest and the signature for the empty `ds:Signature` that is a child of the root.
///
/// The bytes must have been accepted by [`crate::xml::Document::parse`] and hold exactly one `ds:Signature`.
pub(super) fn sign(xml: &[u8], key: &PrivateKey) -> Result<SignatureValues, LibraryError> {
    let document = parse(xml)?;
    let signature = signature_of(&document)?;
    let der = Zeroizing::new(key.pkey().private_key_to_der().map_err(|_| LibraryError::new("reading the private key"))?);
    // Never with a password: `XmlSecKey::from_memory` hands the library a pointer to one that is freed already.
    let key = XmlSecKey::from_memory(&der, XmlSecKeyFormat::Der, None).map_err(|_| LibraryError::new("loading the private key"))?;
    let mut context = signature_context()?;
    context.insert_key(key);
    context.sign_node(&signature).map_err(|_| LibraryError::new("signing"))?;
    let text = |path: &[&str]| path.iter().try_fold(signature.clone(), |at, name| child(&at, name)).map(|node| compact(&node.get_content()));
    let digest = text(&["SignedInfo", "Reference", "DigestValue"]);
    let value = text(&["SignatureValue"]);
    let (Some(digest), Some(value)) = (digest, value) else { return Err(LibraryError::new("reading the signature")) };
    Ok(SignatureValues { digest, value })
}

/// Whether the `ds:Signature` that is a child of the root holds for the certificate's key.
///
/// The bytes must have been accepted by [`crate::xml::Document::parse`] and hold exactly one `ds:Signature`.
pub(super) fn verify(xml: &[u8], certificate: &Certificate) -> Result<bool, LibraryError> {
    let document = parse(xml)?;
    let signature = signature_of(&document)?;
    let key = XmlSecKey::from_memory(certificate.der(), XmlSecKeyFormat::CertDer, None).map_err(|_| LibraryError::new("loading the certificate"))?;
    let mut context = signature_context()?;
    context.insert_key(key);
    context.verify_node(&signature).map_err(|_| LibraryError::new("verifying"))
}

/// What encryption computes, in base64 without white space.
pub(super) struct Encrypted {
    pub(super) key: String,
    pub(super) data: String,
}

/// Encrypts octets with a new AES-256-CBC key, and that key with RSA-OAEP (MGF1 and digest SHA-1) for the recipient.
pub(super) fn encrypt(plain: &[u8], recipient: &Certificate) -> Result<Encrypted, LibraryError> {
    const DATA: &str = r#"<xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#"><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes256-cbc"/><xenc:CipherData><xenc:CipherValue/></xenc:CipherData></xenc:EncryptedData>"#;
    const KEY: &str = r#"<xenc:EncryptedKey xmlns:xenc="http://www.w3.org/2001/04/xmlenc#"><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/><xenc:CipherData><xenc:CipherValue/></xenc:CipherData></xenc:EncryptedKey>"#;
    initialise();
    let mut session = Zeroizing::new([0_u8; 32]);
    rand_bytes(session.as_mut()).map_err(|_| LibraryError::new("drawing a session key"))?;
    let recipient =
        XmlSecKey::from_memory(recipient.der(), XmlSecKeyFormat::CertDer, None).map_err(|_| LibraryError::new("loading the certificate"))?;
    // SAFETY: the library is initialised; the pointer and length are those of `session`, which outlives the call; the
    // library copies the octets. A null result is caught below, before anyone owns it.
    let aes = unsafe { bindings::xmlSecKeyReadMemory(bindings::xmlSecOpenSSLKeyDataAesGetKlass(), session.as_ptr(), session.len() as c_uint) };
    if aes.is_null() {
        return Err(LibraryError::new("making a session key"));
    }
    // SAFETY: `aes` is a key of the library that nobody else owns; from here `XmlSecKey` frees it.
    let aes = unsafe { XmlSecKey::from_ptr(aes) };
    let data = fill(DATA, EncryptionMode::Data, aes, plain)?;
    let key = fill(KEY, EncryptionMode::Key, recipient, session.as_ref())?;
    Ok(Encrypted { key, data })
}

#[derive(Clone, Copy)]
#[repr(u32)]
enum EncryptionMode {
    Data = 0,
    Key = 1,
}

/// The fields of `struct _xmlSecEncCtx` up to the last one that is set here (xmlsec/xmlenc.h, libxmlsec1 1.2).
/// Only ever used behind a pointer that the library allocated in full.
#[repr(C)]
struct EncryptionContext {
    user_data: *mut c_void,
    flags: c_uint,
    flags2: c_uint,
    mode: c_uint,
    key_info_read: bindings::xmlSecKeyInfoCtx,
    key_info_write: bindings::xmlSecKeyInfoCtx,
    transforms: bindings::xmlSecTransformCtx,
    default_method: bindings::xmlSecTransformId,
    key: bindings::xmlSecKeyPtr,
}

type ErrorsCallback = extern "C" fn(*const c_char, c_int, *const c_char, *const c_char, *const c_char, c_int, *const c_char);

// As declared in xmlsec/xmlenc.h and xmlsec/errors.h, which the crate's bindings leave out. `xmlSecSize` is the
// `unsigned int` that the bindings have for it.
unsafe extern "C" {
    fn xmlSecEncCtxCreate(manager: bindings::xmlSecKeysMngrPtr) -> *mut EncryptionContext;
    fn xmlSecEncCtxDestroy(context: *mut EncryptionContext);
    fn xmlSecEncCtxBinaryEncrypt(context: *mut EncryptionContext, template: bindings::xmlNodePtr, data: *const u8, size: c_uint) -> c_int;
    fn xmlSecErrorsSetCallback(callback: ErrorsCallback);
}

/// Frees the library's context when it goes out of scope, and the key that it took over.
struct OwnedContext(*mut EncryptionContext);

impl Drop for OwnedContext {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `xmlSecEncCtxCreate`, is not null and is freed only here.
        unsafe { xmlSecEncCtxDestroy(self.0) };
    }
}

/// Encrypts octets into the only `CipherValue` of a template and returns it.
fn fill(template: &str, mode: EncryptionMode, key: XmlSecKey, plain: &[u8]) -> Result<String, LibraryError> {
    let size = c_uint::try_from(plain.len()).map_err(|_| LibraryError::new("encrypting so much"))?;
    let document = parse(template.as_bytes())?;
    let root = document.get_root_element().ok_or_else(|| LibraryError::new("reading the template"))?;
    // SAFETY: the library is initialised by `parse`; a null manager is allowed and means no key store at all.
    let context = unsafe { xmlSecEncCtxCreate(ptr::null_mut()) };
    if context.is_null() {
        return Err(LibraryError::new("making an encryption context"));
    }
    let context = OwnedContext(context);
    // SAFETY: the context is a whole `xmlSecEncCtx` of the library, of which `EncryptionContext` is the beginning; its
    // `key` is null until now, and the context frees the key that it gets here, so it is leaked from its owner.
    unsafe {
        (*context.0).mode = mode as c_uint;
        (*context.0).key = XmlSecKey::leak(key);
    }
    // SAFETY: context and node are alive (`context` and `document` are dropped after the call); pointer and length are
    // those of `plain`, which is only read.
    let status = unsafe { xmlSecEncCtxBinaryEncrypt(context.0, root.node_ptr().cast(), plain.as_ptr(), size) };
    if status < 0 {
        return Err(LibraryError::new("encrypting"));
    }
    let value = child(&root, "CipherData").and_then(|data| child(&data, "CipherValue")).map(|node| compact(&node.get_content()));
    value.filter(|value| !value.is_empty()).ok_or_else(|| LibraryError::new("reading the cipher text"))
}

/// A context that resolves only `URI=""` and takes only the algorithms of `signature`'s lists.
fn signature_context() -> Result<XmlSecSignatureContext, LibraryError> {
    let context = XmlSecSignatureContext::new();
    // SAFETY: the pointer is that of `context`, which is alive and used by nobody else; the functions called take it and
    // an algorithm's static description; the fields written are plain numbers.
    let ok = unsafe {
        use bindings as b;
        let raw = context.as_ptr();
        (*raw).enabledReferenceUris = b::xmlSecTransformUriTypeEmpty;
        (*raw).keyInfoReadCtx.maxRetrievalMethodLevel = 0;
        (*raw).keyInfoReadCtx.maxEncryptedKeyLevel = 0;
        let canonical = [b::xmlSecTransformInclC14NGetKlass(), b::xmlSecTransformInclC14N11GetKlass(), b::xmlSecTransformExclC14NGetKlass()];
        let digests =
            [b::xmlSecOpenSSLTransformSha256GetKlass(), b::xmlSecOpenSSLTransformSha384GetKlass(), b::xmlSecOpenSSLTransformSha512GetKlass()];
        let methods = [
            b::xmlSecOpenSSLTransformRsaSha256GetKlass(),
            b::xmlSecOpenSSLTransformRsaSha384GetKlass(),
            b::xmlSecOpenSSLTransformRsaSha512GetKlass(),
        ];
        let enveloped = b::xmlSecTransformEnvelopedGetKlass();
        let mut references = canonical.iter().chain(&digests).chain(std::iter::once(&enveloped));
        let mut signatures = canonical.iter().chain(&methods);
        references.all(|id| b::xmlSecDSigCtxEnableReferenceTransform(raw, *id) >= 0)
            && signatures.all(|id| b::xmlSecDSigCtxEnableSignatureTransform(raw, *id) >= 0)
    };
    if ok { Ok(context) } else { Err(LibraryError::new("limiting the algorithms")) }
}

/// Reads bytes that our own reader has accepted into libxml2's tree.
fn parse(xml: &[u8]) -> Result<Document, LibraryError> {
    initialise();
    silence();
    take_trace();
    let options = ParserOptions { recover: false, no_net: true, huge: true, no_error: true, no_warning: true, ..ParserOptions::default() };
    Parser::default().parse_string_with_options(xml, options).map_err(|_| LibraryError::new("reading the document"))
}

/// The `ds:Signature` that is a child of the root.
fn signature_of(document: &Document) -> Result<Node, LibraryError> {
    let root = document.get_root_element().ok_or_else(|| LibraryError::new("finding the root"))?;
    child(&root, "Signature").ok_or_else(|| LibraryError::new("finding the signature"))
}

/// The only child element of this name in the namespaces of XML Signature and XML Encryption.
fn child(parent: &Node, name: &str) -> Option<Node> {
    let known = |node: &Node| node.get_namespace().is_some_and(|ns| [super::DS, super::XENC].contains(&ns.get_href().as_str()));
    let mut all = parent.get_child_elements().into_iter().filter(|node| node.get_name() == name && known(node));
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

fn compact(base64: &str) -> String {
    base64.split_ascii_whitespace().collect()
}

thread_local! {
    /// What the library complained about in the current job, on this thread.
    static TRACE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn take_trace() -> Vec<String> {
    TRACE.with(|trace| trace.try_borrow_mut().map(|mut trace| std::mem::take(&mut *trace)).unwrap_or_default())
}

/// Takes the place of the library's own callback, which prints to standard error.
///
/// Only the C function's name and the number are kept: subject and message may quote the document.
extern "C" fn note_error(_: *const c_char, _: c_int, function: *const c_char, _: *const c_char, _: *const c_char, reason: c_int, _: *const c_char) {
    let function = if function.is_null() {
        "?".into()
    } else {
        // SAFETY: not null, and the library passes `__func__`, a static string that ends in NUL.
        unsafe { CStr::from_ptr(function) }.to_string_lossy()
    };
    TRACE.with(|trace| {
        if let Ok(mut trace) = trace.try_borrow_mut()
            && trace.len() < 8
        {
            trace.push(format!("{function} {reason}"));
        }
    });
}

/// Keeps libxml2 from printing to standard error: canonicalisation, unlike the parser, cannot be told so by an option,
/// and quotes namespace names of the document. The handler is a variable of each thread.
fn silence() {
    extern "C" fn drop_error(_: *mut c_void, _: *mut libxml::bindings::xmlError) {}
    // SAFETY: libxml2 is initialised; the handler has the declared signature, is static, reads nothing and never unwinds.
    unsafe { libxml::bindings::xmlSetStructuredErrorFunc(ptr::null_mut(), Some(drop_error)) };
}

/// Initialises both libraries once, before the first job of any thread.
fn initialise() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: libxml2 asks that this be called once before threads use it; `Once` makes every thread wait for it.
        unsafe { libxml::bindings::xmlInitParser() };
        // The crate initialises libxmlsec1 with its first context.
        drop(XmlSecSignatureContext::new());
        // SAFETY: the library is initialised; the callback has the declared signature, is static and never unwinds.
        unsafe { xmlSecErrorsSetCallback(note_error) };
    });
}
