//! Texts that a mail holds besides its body: which of two that should say the same is sent, what stands above, what below.

use std::collections::HashSet;

use super::body::{self, Images};
use super::leaf::{Forwarded, Structure};
use super::markdown::{Block, plain_words};
use super::note::{self, Note};
use super::plain::{self, Flow};
use super::refusal::ConvertError;

/// The body: the mail's own, or the one that stands by where that says more. What neither says alone, both say.
pub(super) fn own(structure: &Structure<'_>, images: &mut Images<'_>, notes: &mut Vec<Note>) -> Result<Vec<Block>, ConvertError> {
    let mut blocks = Vec::new();
    for part in &structure.bodies {
        blocks.extend(body::blocks(part, images, notes)?);
    }
    let mut rich = structure.bodies.iter().any(|part| part.html.is_some());
    let mut ours = if structure.spare.is_empty() { HashSet::new() } else { words(&blocks) };
    for spare in &structure.spare {
        let other = body::blocks(spare, images, notes)?;
        let theirs = words(&other);
        let (ours_within, theirs_within) = (ours.is_subset(&theirs), theirs.is_subset(&ours));
        if ours_within && (!theirs_within || (spare.html.is_some() && !rich)) {
            (blocks, ours) = (other, theirs);
            rich = spare.html.is_some();
        } else if !theirs_within {
            let swedish = "Mejlet hade två olika texter; båda skickas, efter varandra.";
            note::add(notes, Note::new(swedish, "The mail had two different texts; both are sent, one after the other."));
            blocks.extend(other);
            ours.extend(theirs);
        }
    }
    Ok(blocks)
}

/// Puts what stands above the body above it, and the mails within the mail below.
pub(super) fn surround(
    blocks: &mut Vec<Block>,
    structure: &Structure<'_>,
    images: &mut Images<'_>,
    notes: &mut Vec<Note>,
) -> Result<(), ConvertError> {
    blocks.splice(0..0, structure.summaries.iter().flat_map(|text| plain::blocks(text, Flow::Fixed)));
    for mail in &structure.forwarded {
        blocks.extend(forwarded(mail, images, notes)?);
    }
    Ok(())
}

fn forwarded(mail: &Forwarded<'_>, images: &mut Images<'_>, notes: &mut Vec<Note>) -> Result<Vec<Block>, ConvertError> {
    let mut blocks = own(&mail.texts, images, notes)?;
    surround(&mut blocks, &mail.texts, images, notes)?;
    blocks.splice(0..0, plain::blocks(&mail.heading, Flow::Fixed));
    Ok(blocks)
}

/// The words of a text, whatever its form. What programs write into plain text in place of images and links does not count.
fn words(blocks: &[Block]) -> HashSet<String> {
    let mut words = HashSet::new();
    let mut rest: Vec<&Block> = blocks.iter().collect();
    while let Some(block) = rest.pop() {
        match block {
            Block::Paragraph(pieces) | Block::Heading(_, pieces) => {
                let text = plain_words(pieces);
                let shown = text.split_whitespace().filter(|word| !["[cid:", "<http", "<mailto:"].iter().any(|mark| word.starts_with(mark)));
                words
                    .extend(shown.flat_map(|word| word.split(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty()).map(str::to_lowercase));
            }
            Block::List { items, .. } => rest.extend(items.iter().flatten()),
        }
    }
    words
}
