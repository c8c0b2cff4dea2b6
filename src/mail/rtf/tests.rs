//! RTF as Exchange, Outlook and Word write it.

use super::*;

fn html(rtf: &str) -> String {
    match read(rtf.as_bytes()).unwrap().text {
        Text::Html(html) => html,
        Text::Plain(text) => panic!("plain: {text}"),
    }
}

/// As Exchange wraps HTML (MS-OXRTFEX 4.1).
const WRAPPED: &str = r#"{\rtf1\ansi\ansicpg1252\fromhtml1 \fbidi \deff0
{\fonttbl{\f0\fswiss\fcharset0 Arial;}
{\f1\fmodern\fcharset204 Courier New;}
{\f2\fnil\fcharset2 Symbol;}}
{\colortbl\red0\green0\blue0;\red0\green0\blue255;}
\uc1\pard\plain\deftab360 \f0\fs24
{\*\htmltag18 <html>}
{\*\htmltag50 <body lang="sv">}
{\*\htmltag0 \par }
{\*\htmltag64 <p class="MsoNormal">}\htmlrtf {\htmlrtf0 Hej \'c5sa\u8211 ?{\*\htmltag84 &#8211;}\htmlrtf - \htmlrtf0
{\*\htmltag84 &nbsp;}\htmlrtf \'a0\htmlrtf0 {\*\htmltag84 <b>}\htmlrtf {\b \htmlrtf0 fet{\*\htmltag92 </b>}\htmlrtf }\htmlrtf0
\htmlrtf {\f1 \htmlrtf0 \'cf\'f0\'e8\htmlrtf }\htmlrtf0 \lquote x\rquote\~y
{\*\htmltag116 <br>}\htmlrtf \line\htmlrtf0 
{\*\htmltag84 <img src="cid:image001.png@01D" style="a\{b\}">}{\*\mhtmltag84 <img src="bild.png">}{\pntext\f2\'b7\tab}
\htmlrtf\par}\htmlrtf0
{\*\htmltag72 </p>}
{\*\htmltag58 </body>}
{\*\htmltag27 </html>}}"#;

#[test]
fn wrapped_html_comes_out_as_it_went_in() {
    let expected = "<html><body lang=\"sv\">\r\n<p class=\"MsoNormal\">Hej Åsa–&#8211;&nbsp;<b>fet</b>При&lsquo;x&rsquo;&nbsp;y<br>\
                    <img src=\"cid:image001.png@01D\" style=\"a{b}\"></p></body></html>";
    assert_eq!(html(WRAPPED), expected);
}

#[test]
fn wrapped_text_comes_out_as_it_went_in() {
    let rtf = "{\\rtf1\\ansi\\ansicpg1252\\fromtext \\deff0{\\fonttbl{\\f0\\fswiss Arial;}}\n\\uc1\\pard\\plain\\deftab360 \\f0\\fs20 Hej \\'c5sa,\\par\r\n\
               \\par\n<b>\\{x\\}\\tab \\u9731 ?\\u-10179 ?\\u-8704 ?\\par\n}";
    assert_eq!(read(rtf.as_bytes()).unwrap().text, Text::Plain("Hej Åsa,\n\n<b>{x}\t☃😀\n".to_owned()));
}

#[test]
fn what_word_wrote_becomes_html() {
    let rtf = r#"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\froman\fcharset0 Times;}{\f3\froman\fcharset2 Symbol;}}{\stylesheet{\s0 Normal;}}
{\*\generator Riched20;}{\info{\author Hemlig}}\viewkind4\uc1
\pard\plain\f0 Hej \b fet \i b\'e5de\b0\i0  < vanlig\v dold\v0\par
\par
{\listtext\pard\plain\f3 \'b7\tab}\pard\ilvl0\ls1 ett\par
{\listtext\pard\plain\f3 o\tab}\pard\ilvl1\ls1 inre\par
{\pntext\f0 1.\tab}\pard{\*\pn\pnlvlbody}nummer\par
\pard {\field{\*\fldinst { HYPERLINK "https://habo.se/a&b" \\o "tips"}}{\fldrslt {\ul l\'e4nk}}} slut\line rad\par
\trowd\cellx1000\cellx2000\pard\intbl Namn\cell Tal\cell\row\pard\intbl Anna\par Bo\cell 1\cell\row
\pard Efter\emdash{\shppict{\pict\pngblip\picw1 89504e47
0d0a1a0a}}{\nonshppict{\pict\wmetafile8 0102}}{\pict\wmetafile8 01}{\object\objemb{\*\objclass Package}{\*\objdata 0105}{\result {bild}}}\par
}"#;
    let expected = "<p class=MsoNormal>Hej <b>fet </b><b><i>både</i></b> &lt; vanlig</p>\n<p class=MsoNormal>&nbsp;</p>\n\
        <p class=MsoListParagraph style='mso-list:l0 level1 lfo1'><span style='mso-list:Ignore'>·</span>ett</p>\n\
        <p class=MsoListParagraph style='mso-list:l0 level2 lfo1'><span style='mso-list:Ignore'>o</span>inre</p>\n\
        <p class=MsoListParagraph style='mso-list:l0 level1 lfo1'><span style='mso-list:Ignore'>1.</span>nummer</p>\n\
        <p class=MsoNormal><a href=\"https://habo.se/a&amp;b\">länk</a> slut<br>rad</p>\n\
        <table><tr><td>Namn</td><td>Tal</td></tr><tr><td>Anna<br>Bo</td><td>1</td></tr></table>\n\
        <p class=MsoNormal>Efter—<img src=\"cid:rtf-picture-0\">bild</p>\n";
    assert_eq!(html(rtf), expected);
    let rtf = read(rtf.as_bytes()).unwrap();
    assert_eq!(rtf.pictures, [Picture { media_type: "image/png", body: b"\x89PNG\r\n\x1a\n".to_vec() }]);
    assert_eq!((rtf.metafiles, rtf.objects), (1, 1));
}

#[test]
fn an_end_that_is_missing_is_seen() {
    for end in 0..WRAPPED.len() {
        assert!(read(&WRAPPED.as_bytes()[..end]).is_err(), "{end}");
    }
    assert_eq!(read(b"hej"), Err(RtfError::Beginning));
    assert_eq!(read("{\\rtf1".repeat(3_000).as_bytes()), Err(RtfError::Depth));
}

#[test]
fn suppressed_stand_ins_do_not_swallow_what_follows() {
    assert_eq!(html("{\\rtf1\\fromhtml1 \\uc1\\htmlrtf \\u229\\htmlrtf0 abc}"), "abc");
    assert_eq!(html("{\\rtf1\\fromhtml1 \\uc2\\u229 \\'e5xabc}"), "åabc");
}
