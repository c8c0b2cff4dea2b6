//! The pages as Chromium draws them: nothing is loaded, nothing runs, everything is seen.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common;
use crate::messages::{self, HOSTILE, Message, PLAIN, RICH};

const WIDTH: usize = 760;
const HEIGHT: usize = 760;
const SECRET: [u8; 3] = [0x9b, 0x1c, 0x1c];
const OPEN: [u8; 3] = [0x1f, 0x4e, 0x79];

/// What Chromium makes of a page.
struct Drawn {
    /// The tree after scripts have run.
    dom: String,
    /// What a reader sees, by the style that is in force.
    seen: String,
    /// Pixels, row by row.
    pixels: Vec<[u8; 3]>,
}

fn html(message: &Message) -> String {
    let mail = messages::mail(&messages::xml(message));
    mail_parser::MessageParser::default().parse(&mail).unwrap().body_html(0).unwrap().into_owned()
}

fn chromium(folder: &Path, arguments: &[String]) -> String {
    let mut command = Command::new("chromium");
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-background-networking"]);
    command.arg(format!("--user-data-dir={}", folder.join("profile").display())).env("HOME", folder);
    command.arg(format!("--window-size={WIDTH},{HEIGHT}")).args(arguments);
    String::from_utf8(common::run(&mut command).unwrap()).unwrap()
}

fn draw(folder: &Path, message: &Message, html: &str) -> Drawn {
    let name = message.name;
    let page = common::temporary(folder, &format!("{name}.html"), html);
    let png = folder.join(format!("{name}.png"));
    chromium(folder, &[format!("--screenshot={}", png.display()), format!("file://{}", page.display())]);
    // A script of ours, in a copy, tells what can be seen: innerText leaves out what style hides.
    let telling = html.replace("</body>", "<script>document.body.setAttribute('data-seen', document.body.innerText)</script></body>");
    let page = common::temporary(folder, &format!("{name}-telling.html"), telling);
    let dom = chromium(folder, &["--dump-dom".to_owned(), format!("file://{}", page.display())]);
    let seen = dom.split_once("data-seen=\"").unwrap().1.split_once('"').unwrap().0;
    let seen = seen.replace("&quot;", "\"").replace("&nbsp;", " ").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    Drawn { seen, pixels: pixels(&std::fs::read(&png).unwrap()), dom }
}

/// The pixels of a PNG of 8 bits, RGB or RGBA.
fn pixels(png: &[u8]) -> Vec<[u8; 3]> {
    let (mut at, mut data, mut head) = (8, Vec::new(), &png[..0]);
    while at < png.len() {
        let length = u32::from_be_bytes(png[at..at + 4].try_into().unwrap()) as usize;
        let chunk = &png[at + 8..at + 8 + length];
        match &png[at + 4..at + 8] {
            b"IHDR" => head = chunk,
            b"IDAT" => data.extend_from_slice(chunk),
            _ => {}
        }
        at += 12 + length;
    }
    let width = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
    let size = match head[8..10] {
        [8, 2] => 3,
        [8, 6] => 4,
        ref other => panic!("PNG of depth and colour {other:?}"),
    };
    let mut raw = Vec::new();
    std::io::copy(&mut flate2::read::ZlibDecoder::new(&data[..]), &mut raw).unwrap();
    let mut before = vec![0; width * size];
    let mut out = Vec::new();
    for row in raw.chunks(width * size + 1) {
        let mut line = row[1..].to_vec();
        for at in 0..line.len() {
            let left = if at < size { 0 } else { line[at - size] };
            let (up, corner) = (before[at], if at < size { 0 } else { before[at - size] });
            let predicted = match row[0] {
                0 => 0,
                1 => left,
                2 => up,
                3 => left.midpoint(up),
                _ => {
                    let [a, b, c] = [left, up, corner].map(i16::from);
                    let (pa, pb, pc) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
                    if pa <= pb && pa <= pc {
                        left
                    } else if pb <= pc {
                        up
                    } else {
                        corner
                    }
                }
            };
            line[at] = line[at].wrapping_add(predicted);
        }
        out.extend(line.chunks(size).map(|pixel| [pixel[0], pixel[1], pixel[2]]));
        before = line;
    }
    out
}

/// A PNG of few colours, as high as there is something to see.
fn small(pixels: &[[u8; 3]]) -> Vec<u8> {
    let ink = pixels.iter().rposition(|pixel| *pixel != [255; 3]).unwrap();
    let height = (ink / WIDTH + 16).min(HEIGHT);
    let mut colours: Vec<[u8; 3]> = Vec::new();
    let mut rows = Vec::new();
    for row in pixels.chunks(WIDTH).take(height) {
        rows.push(0);
        for pixel in row {
            let colour = pixel.map(|value| (u16::from(value >> 4) * 17) as u8);
            let at = colours.iter().position(|other| *other == colour).unwrap_or(colours.len());
            if at == colours.len() {
                colours.push(colour);
            }
            rows.push(u8::try_from(at).unwrap());
        }
    }
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(&rows).unwrap();
    let head = [&(WIDTH as u32).to_be_bytes()[..], &(height as u32).to_be_bytes(), &[8, 3, 0, 0, 0]].concat();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", head), (b"PLTE", colours.concat()), (b"IDAT", zlib.finish().unwrap()), (b"IEND", Vec::new())] {
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(&data);
        png.extend([&(data.len() as u32).to_be_bytes()[..], kind, &data, &crc.sum().to_be_bytes()].concat());
    }
    png
}

/// How many pixels of a million are so.
fn share(pixels: &[[u8; 3]], test: impl Fn(&[u8; 3]) -> bool) -> usize {
    pixels.iter().filter(|pixel| test(pixel)).count() * 1_000_000 / pixels.len()
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
}

#[test]
fn a_browser_loads_nothing_runs_nothing_and_shows_every_word() {
    if !common::has("chromium") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut drawn = Vec::new();
    for message in messages::all() {
        let name = message.name;
        if !["plain", "formatted-open", "every-row", "attachments-and-extensions", "hostile"].contains(&name) {
            continue;
        }
        let html = html(&message).replace("PORT", &port);
        let page = draw(folder.path(), &message, &html);
        assert!(!page.dom.contains("<title>ran"), "{name}: a script ran");
        for tag in tags(&page.dom) {
            let element = tag.split([' ', '/']).next().unwrap();
            assert!(KNOWN.split(' ').any(|known| known == element), "{name}: <{tag}>");
            assert!(!tag.contains("url(") && !tag.contains(" src") && !tag.contains(" on") && !tag.contains("javascript"), "{name}: <{tag}>");
        }
        assert_eq!(page.pixels.len(), WIDTH * HEIGHT, "{name}");
        let (secret, open) = (share(&page.pixels, |pixel| *pixel == SECRET), share(&page.pixels, |pixel| *pixel == OPEN));
        if message.content.confidential {
            assert!(secret > 500 && open == 0, "{name}: {secret} {open}");
            assert!(page.seen.contains("Sekretess:"), "{name}");
        } else {
            assert!(open > 500 && secret == 0, "{name}: {secret} {open}");
        }
        let ink = share(&page.pixels, |[r, g, b]| u16::from(*r) + u16::from(*g) + u16::from(*b) < 300);
        assert!((2_000..300_000).contains(&ink), "{name}: {ink} of a million pixels are ink");
        drawn.push((message, page));
    }
    let seen = |name: &str| drawn.iter().find(|(message, _)| message.name == name).map(|(_, page)| page.seen.as_str()).unwrap();
    for (name, text) in [("plain", PLAIN), ("formatted-open", RICH), ("hostile", HOSTILE)] {
        let shown: std::collections::BTreeSet<&str> = words(seen(name)).into_iter().collect();
        // Tags that format go, with what stands in them.
        let mut text = text.to_owned();
        for tag in [
            "<table style='position:absolute;top:0;left:0;width:100%;background:#fff'>",
            "<p style=\"background:url(http://127.0.0.1:PORT/j)\" hidden>",
            "<tr><td>",
            "</td></tr></table>",
            "</p>",
        ] {
            text = text.replace(tag, " ");
        }
        let text = text.replace("PORT", &port);
        let missing: Vec<_> = words(&text).into_iter().filter(|word| word.parse::<u8>().is_err() && !shown.contains(word)).collect();
        assert!(missing.is_empty(), "{name}: {missing:?} in {}", seen(name));
    }
    // The head of a hostile message is drawn as that of any other, dot for dot.
    let head = |name: &str| &drawn.iter().find(|(message, _)| message.name == name).unwrap().1.pixels[..WIDTH * 80];
    assert!(head("hostile") == head("plain"), "the text changes nothing above it");
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nothing is asked for");

    if crate::common::golden::blessed() {
        let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
        std::fs::create_dir_all(&images).unwrap();
        for (message, page) in &drawn {
            if ["formatted-open", "every-row", "attachments-and-extensions"].contains(&message.name) {
                std::fs::write(images.join(format!("{}.png", message.name)), small(&page.pixels)).unwrap();
            }
        }
    }
}

/// What a page of ours is built of.
const KNOWN: &str = "html head meta body table tbody tr td b p br hr div span a strong em ul ol li h1 h2 code blockquote";

/// The tags that open in a tree as Chromium writes it, without the script of ours and what it told.
fn tags(dom: &str) -> Vec<String> {
    let (before, told) = dom.split_once(" data-seen=\"").unwrap();
    let after = told.split_once('"').unwrap().1;
    let dom = format!("{before}{after}");
    let (dom, script) = dom.rsplit_once("<script>document.body.setAttribute").unwrap();
    let dom = format!("{dom}{}", script.split_once("</script>").unwrap().1);
    dom.split('<').skip(1).map(|tag| tag.split('>').next().unwrap().to_owned()).filter(|tag| !tag.starts_with(['/', '!'])).collect()
}

#[test]
fn the_images_of_the_manual_are_there_and_small() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let text = std::fs::read_to_string(docs.join("mail.md")).unwrap();
    let images: Vec<PathBuf> = std::fs::read_dir(docs.join("images")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(images.len() >= 3);
    for image in images {
        assert!(std::fs::metadata(&image).unwrap().len() < 60_000, "{}", image.display());
        let name = image.file_name().unwrap().to_str().unwrap();
        assert!(text.contains(&format!("(images/{name})")), "{name} is shown");
    }
}

#[test]
fn every_mistake_of_others_in_the_manual_has_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/mail.md")).unwrap();
    let table = text.split_once("| what happened elsewhere |").unwrap().1;
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 13);
    for row in rows {
        let tests: Vec<&str> = row.rsplit('|').nth(1).unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{row}");
        for test in tests {
            let (file, name) = test.rsplit_once("::").unwrap();
            let source =
                std::fs::read_to_string(root.join("tests").join(file).with_extension("rs")).unwrap_or_else(|error| panic!("{test}: {error}"));
            assert!(source.contains(&format!("fn {name}(")), "{test} is not there");
        }
    }
}
