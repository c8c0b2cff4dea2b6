//! XML: reading with limits into a small tree, writing, canonical form.
//!
//! Everything that comes over a wire is read here and only here (the one other reader, libxml2 inside
//! `crypto::xmlsec`, gets only bytes that this one has accepted). A DTD is refused before anything else is looked at,
//! so there are no entities but the five of XML itself; depth, element count, attribute count and size are bounded.

mod c14n;
mod chars;
mod outline;
mod read;
mod tree;
mod write;

pub use c14n::{CanonicalError, Canonicalization, Comments};
pub use chars::trim;
pub use outline::{Outline, OutlineLimits, Outliner};
pub use tree::{Attribute, Document, Element, Limits, NodeRef, XML_NS, XmlError};
pub use write::Writer;
