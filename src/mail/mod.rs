//! Mail: its addresses, its form, and the receiving side of SMTP; bytes to types and back, pure.

pub mod session;
