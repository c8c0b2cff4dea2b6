//! The SOAP part of a request.

use std::io::Read;

use super::{Problem, ReceiveLimits};
use crate::as4::error::{Code, EbmsError};
use crate::as4::names::SOAP_TYPE;
use crate::as4::package::{ContentType, PackageError, PackageReader, TransferDecoder};

/// The SOAP part, and the reader of what follows it.
pub(in crate::as4) fn soap_part<'r>(
    content_type: &str,
    body: &'r mut dyn Read,
    limits: &ReceiveLimits,
) -> Result<(Vec<u8>, Option<PackageReader<'r>>), Problem> {
    let content_type = ContentType::parse(content_type).ok_or(PackageError::Mime("the request has no Content-Type"))?;
    let too_large = || EbmsError::new(Code::InvalidHeader, "The SOAP part is too large");
    match content_type.media() {
        SOAP_TYPE => {
            let mut soap = Vec::new();
            body.take(limits.soap as u64 + 1).read_to_end(&mut soap).map_err(PackageError::Stream)?;
            if soap.len() > limits.soap { Err(too_large().into()) } else { Ok((soap, None)) }
        }
        "multipart/related" => {
            let boundary = content_type.parameter("boundary").filter(|text| (1..=200).contains(&text.len()));
            let boundary = boundary.ok_or(PackageError::Mime("the Content-Type has no boundary"))?;
            let mut reader = PackageReader::new(body, boundary, limits.package);
            let headers = reader.next_part()?.ok_or(PackageError::Mime("the package has no parts"))?;
            let start = content_type.parameter("start").map(|id| id.trim().trim_start_matches('<').trim_end_matches('>'));
            if start.is_some() && headers.content_id.is_some() && start != headers.content_id.as_deref() {
                return Err(PackageError::Mime("the SOAP part is not the first").into());
            }
            if headers.content_type.as_ref().is_none_or(|own| own.media() != SOAP_TYPE) {
                return Err(PackageError::Mime("the first part is not SOAP 1.2").into());
            }
            let mut soap = Vec::new();
            let mut decoder = TransferDecoder::new(headers.encoding);
            while let Some(chunk) = reader.chunk()? {
                decoder.decode(chunk, &mut soap)?;
                if soap.len() > limits.soap {
                    return Err(too_large().into());
                }
            }
            decoder.finish(&mut soap)?;
            Ok((soap, Some(reader)))
        }
        _ => Err(PackageError::Mime("the request is neither multipart/related nor SOAP 1.2").into()),
    }
}
