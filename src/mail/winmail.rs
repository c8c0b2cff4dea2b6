//! A message out of `winmail.dat` as parts of the mail.

use super::contained::Walker;
use super::leaf::{Body, Leaf, Structure};
use super::note::{self, Note};
use super::refusal::ConvertError;
use super::tnef::{Attachment, Contents, Message};
use super::{files, report, rtf, tnef, words};

/// Attachments that the HTML may name by their places; each is looked for in it.
const MAX_PLACES: usize = 50;

impl Walker<'_> {
    /// Opens `winmail.dat`. Its body stands by: it counts where the mail's own says less.
    pub(super) fn winmail(&mut self, bytes: &[u8], depth: usize) -> Result<Structure<'static>, ConvertError> {
        let mut message = tnef::read(bytes).map_err(|error| ConvertError::Tnef(error.to_string()))?;
        let class = message.class.to_ascii_lowercase();
        if self.within == 0 && class.starts_with("ipm.outlook.recall") {
            return Err(ConvertError::Recall);
        }
        // Reports of any item, such as a read receipt, of what became of a recall, and answers by rule.
        let automatic = ["report.", "ipm.recall.report", "ipm.note.rules.oof", "ipm.note.rules.replytemplate"];
        let automatic = self.within == 0 && automatic.iter().any(|name| class.starts_with(name));
        let summaries = message.summary.take().into_iter().collect();
        let mut all = self.outlook(message, depth)?;
        all.spare = std::mem::take(&mut all.bodies);
        all.automatic = automatic.then_some("winmail.dat");
        all.summaries.splice(0..0, Vec::<String>::into_iter(summaries));
        Ok(all)
    }

    /// A message with its body and attachments.
    fn outlook(&mut self, message: Message<'_>, depth: usize) -> Result<Structure<'static>, ConvertError> {
        self.count()?;
        let Message { mut html, plain, pictures, lost, summary, votes, attachments, .. } = message;
        self.unpacked(html.as_ref().map_or(0, String::len) + pictures.iter().map(|picture| picture.body.len()).sum::<usize>())?;
        let mut all = Structure::default();
        all.summaries.extend(summary);
        self.votes(&votes, &mut all);
        if lost > 0 {
            let swedish = format!("{lost} bilder eller objekt i mejlets text har en form som bara Outlook visar och följde inte med.");
            self.notes.push(Note::lost(
                swedish,
                format!("{lost} images or objects of the text are in a form that only Outlook shows; they were not passed on."),
            ));
        }
        // Each message numbers its pictures from the start.
        let number = self.part_number();
        if !pictures.is_empty() {
            html = html.map(|html| html.replace("\"cid:rtf-picture-", &format!("\"cid:rtf-{number}-picture-")));
        }
        for (at, picture) in pictures.into_iter().enumerate() {
            self.count()?;
            let id = rtf::picture_id(at).replace("rtf-", &format!("rtf-{number}-"));
            all.files.push(Leaf::made(picture.media_type, None, Some(id), picture.body));
        }
        for (at, attachment) in attachments.into_iter().enumerate() {
            let place = if at < MAX_PLACES { attachment.content_location.clone() } else { None };
            let id = attachment.content_id.clone().or_else(|| self.place(place.as_deref(), &mut html));
            self.attachment(attachment, id, &mut all, depth)?;
        }
        all.bodies.extend(Body::made(html, plain));
        Ok(all)
    }

    fn votes(&mut self, votes: &[String], all: &mut Structure<'_>) {
        if votes.is_empty() {
            return;
        }
        let votes = votes.iter().map(|vote| words::one_line(vote)).collect::<Vec<_>>().join("; ");
        all.summaries.push(format!("Röstning: {votes}\n"));
        let swedish = format!("Mejlets röstningsknappar följer inte med; svaren står i texten: {votes}.");
        self.notes.push(Note::lost(swedish, format!("The voting buttons are not passed on; the answers stand in the text: {votes}.")));
    }

    /// An image that the HTML names by its place gets a Content-ID.
    fn place(&self, place: Option<&str>, html: &mut Option<String>) -> Option<String> {
        let place = place.filter(|place| !place.is_empty() && !place.contains('"'))?;
        let text = html.as_ref()?;
        let quoted = format!("\"{place}\"");
        if !text.contains(&quoted) {
            return None;
        }
        let id = format!("place-{}-{place}", self.part_number());
        // A Content-ID in a link is written as a URL is.
        let link = percent_encoding::utf8_percent_encode(&id, percent_encoding::NON_ALPHANUMERIC);
        *html = Some(text.replace(&quoted, &format!("\"cid:{link}\"")));
        Some(id)
    }

    fn attachment(&mut self, attachment: Attachment<'_>, id: Option<String>, all: &mut Structure<'static>, depth: usize) -> Result<(), ConvertError> {
        let name = attachment.name;
        let shown =
            || Some(files::clean_name(name.as_deref().unwrap_or_default())).filter(|name| !name.is_empty()).unwrap_or_else(|| "utan namn".to_owned());
        match attachment.contents {
            Contents::File(bytes) => {
                let kind = attachment.media_type.map(|kind| kind.trim().to_ascii_lowercase()).filter(|kind| kind.contains('/'));
                let kind = kind.unwrap_or_else(|| "application/octet-stream".to_owned());
                all.extend(self.file(&kind, name, id, bytes, depth)?);
            }
            Contents::Message(message) => {
                let subject = words::one_line(message.subject.as_deref().or(name.as_deref()).unwrap_or_default());
                self.note_forwarded(&subject);
                let heading = report::heading_of("Bifogat mejl", &message);
                all.forward(heading, self.outlook(*message, depth + 1)?);
            }
            Contents::Object => {
                let name = shown();
                let swedish = format!("Objektet \"{name}\" har en form som bara Outlook visar och följde inte med. Bifoga det som fil.");
                note::add(
                    self.notes,
                    Note::lost(swedish, format!("The object \"{name}\" is in a form that only Outlook shows; it was not passed on.")),
                );
            }
            Contents::Link(path) => {
                let name = shown();
                let path = words::one_line(path.as_deref().unwrap_or_default());
                all.forward(format!("Länkad fil: {name} {path}"), Structure::default());
                let swedish = format!("Filen \"{name}\" var en länk och följde inte med; länken står i texten.");
                note::add(
                    self.notes,
                    Note::lost(swedish, format!("The file \"{name}\" was a link and was not passed on; the link stands in the text.")),
                );
            }
        }
        Ok(())
    }

    /// A file, opened when it holds a mail or a meeting itself.
    fn file(&mut self, kind: &str, name: Option<String>, id: Option<String>, bytes: &[u8], depth: usize) -> Result<Structure<'static>, ConvertError> {
        // Outlook keeps a signed mail whole, as one attachment (MS-OXOSMIME 2.1.1).
        if kind == "multipart/signed" {
            return self.entity(bytes, depth + 1, "text/plain").map(Structure::into_owned);
        }
        self.count()?;
        self.unpacked(bytes.len())?;
        let leaf = Leaf::made(kind, name, id, bytes.to_vec());
        if let Some(opened) = self.open(&leaf, bytes, kind, depth + 1)? {
            return Ok(opened.into_owned());
        }
        let mut all = Structure::default();
        all.files.push(leaf);
        Ok(all)
    }
}
