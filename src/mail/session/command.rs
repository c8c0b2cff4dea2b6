//! What each command does to a session.

use super::envelope::Extra;
use super::{Action, Envelope, Greeting, OnwardTls, Phase, Question, Recipient, Reply, Security, Sender, Session, too_large};

/// Commands between two mails that bring nothing forward.
const IDLE_COMMANDS: u32 = 100;

impl Session {
    /// Carries out one command line.
    pub(super) fn command(&mut self, line: &str) {
        let line = line.trim_end_matches(' ');
        let (verb, args) = line.split_once(' ').unwrap_or((line, ""));
        let args = args.trim_start_matches(' ');
        let verb = verb.to_ascii_uppercase();
        self.idle_commands += 1;
        if self.idle_commands > IDLE_COMMANDS + u32::try_from(self.options.max_recipients).unwrap_or(u32::MAX - IDLE_COMMANDS) {
            self.end(Reply::new(421, (7, 0), "Too many commands without a mail"));
            return;
        }
        // RFC 3207 4: before TLS only these.
        if self.security == Security::Required && !matches!(verb.as_str(), "EHLO" | "HELO" | "NOOP" | "QUIT" | "STARTTLS" | "AUTH") {
            let reply = Reply::new(530, (7, 0), "STARTTLS comes first");
            return if verb == "BDAT" { self.unwanted_chunk(args, reply) } else { self.fault(reply) };
        }
        match verb.as_str() {
            "EHLO" => self.hello(Greeting::Ehlo, args),
            "HELO" => self.hello(Greeting::Helo, args),
            "MAIL" => self.mail(args),
            "RCPT" => self.recipient(args),
            "DATA" => self.data(args),
            "BDAT" => self.chunk(args),
            "AUTH" => self.log_in(args),
            "RSET" if args.is_empty() => {
                self.forget();
                self.reply(Reply::new(250, (0, 0), "Ok"));
            }
            "NOOP" => self.reply(Reply::new(250, (0, 0), "Ok")),
            "QUIT" if args.is_empty() => self.reply(Reply::new(221, (0, 0), "Bye")),
            // RFC 5321 3.5.3: 252 tells nothing about who exists.
            "VRFY" if !args.is_empty() => self.reply(Reply::new(252, (0, 0), "Send a mail to find out")),
            "HELP" => self.reply(Reply::new(214, (0, 0), "RFC 5321; mail here becomes SDK messages")),
            "STARTTLS" => self.start_tls(args),
            "RSET" | "QUIT" | "VRFY" => self.fault(Reply::new(501, (5, 4), "Wrong number of arguments")),
            // No list is expanded, no queue is run, nobody turns the connection round, and this is no LMTP server (RFC 2033).
            "EXPN" | "TURN" | "ATRN" | "ETRN" | "LHLO" | "XCLIENT" | "XFORWARD" | "SEND" | "SOML" | "SAML" => {
                self.fault(Reply::new(502, (5, 1), "Command not implemented"));
            }
            // Another protocol's request: what follows it is no command.
            "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "PATCH" | "TRACE" | "CONNECT" | "PRI" => self.end(foreign()),
            verb if verb.starts_with("SSH-") => self.end(foreign()),
            _ => self.fault(Reply::new(500, (5, 1), "Command unknown")),
        }
    }

    fn hello(&mut self, greeting: Greeting, args: &str) {
        let name = args.to_owned();
        if name.is_empty() || name.len() > 255 || !name.bytes().all(|b| b.is_ascii_graphic()) {
            self.fault(Reply::new(501, (5, 4), "Say your host name"));
            return;
        }
        self.forget();
        self.greeted = Some((greeting, name));
        let hostname = self.options.hostname.to_string();
        self.reply(match greeting {
            Greeting::Helo => Reply::bare(250, vec![hostname]),
            Greeting::Ehlo => {
                let mut lines: Vec<String> = vec![hostname, "PIPELINING".into(), format!("SIZE {}", self.options.max_message)];
                lines.extend(["8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN", "CHUNKING"].map(str::to_owned));
                // RFC 9422.
                lines.push(format!("LIMITS MAILMAX={} RCPTMAX={}", self.options.max_mails, self.options.max_recipients));
                if matches!(self.security, Security::Offered | Security::Required) {
                    lines.push("STARTTLS".into());
                }
                lines.extend(self.extras().iter().map(|extra| match extra {
                    Extra::Auth => self.mechanisms.iter().fold("AUTH".to_owned(), |line, mechanism| line + " " + mechanism.name()),
                    Extra::RequireTls => "REQUIRETLS".to_owned(),
                }));
                Reply::bare(250, lines)
            }
        });
    }

    /// What is offered over TLS alone (RFC 4954 4, RFC 8689 2).
    fn extras(&self) -> Vec<Extra> {
        let secured = self.security == Security::Secured;
        let auth = (secured && !self.mechanisms.is_empty()).then_some(Extra::Auth);
        let require_tls = (secured && self.options.onward == OnwardTls::Always).then_some(Extra::RequireTls);
        auth.into_iter().chain(require_tls).collect()
    }

    fn mail(&mut self, args: &str) {
        let Some((greeting, helo)) = self.greeted.clone() else { return self.fault(Reply::new(503, (5, 1), "EHLO comes first")) };
        if self.envelope.is_some() {
            return self.fault(Reply::new(503, (5, 1), "A mail is already under way, RSET ends it"));
        }
        self.mails += 1;
        if self.mails > self.options.max_mails {
            return self.end(Reply::new(421, (7, 0), "Too many mails on one connection, go on with another"));
        }
        let sender = match Sender::read(args, greeting, &self.extras()) {
            Ok(sender) => sender,
            Err(reply) => return self.fault(reply),
        };
        // RFC 1870 6.1: too large by its own word, refused before it is sent.
        if let Some(size) = sender.size.filter(|size| *size > self.options.max_message) {
            return self.reply(too_large(size, self.options.max_message));
        }
        self.envelope = Some(Envelope { helo, greeting, sender, recipients: Vec::new() });
        self.ask(Question::Sender);
    }

    fn recipient(&mut self, args: &str) {
        let Some(envelope) = &self.envelope else { return self.fault(Reply::new(503, (5, 1), "MAIL comes first")) };
        if self.chunks.is_some() {
            return self.fault(Reply::new(503, (5, 1), "The mail has begun"));
        }
        let (greeting, charset, count) = (envelope.greeting, envelope.sender.charset, envelope.recipients.len());
        match Recipient::read(args, greeting, charset, &self.options.hostname) {
            // RFC 5321 4.5.3.1.10: the client sends the rest in another mail.
            Ok(_) if count >= self.options.max_recipients => self.reply(Reply::new(452, (5, 3), "Too many recipients")),
            Ok(recipient) => self.ask(Question::Recipient(recipient)),
            Err(reply) => self.fault(reply),
        }
    }

    fn data(&mut self, args: &str) {
        match &self.envelope {
            _ if !args.is_empty() => self.fault(Reply::new(501, (5, 4), "DATA has no arguments")),
            None => self.fault(Reply::new(503, (5, 1), "MAIL comes first")),
            // RFC 3030 2.
            Some(_) if self.chunks.is_some() => self.fault(Reply::new(503, (5, 1), "The mail has begun in chunks and goes on with BDAT")),
            Some(envelope) if envelope.recipients.is_empty() => self.fault(Reply::new(554, (5, 1), "No valid recipients")),
            Some(_) => self.ask(Question::Data),
        }
    }

    fn start_tls(&mut self, args: &str) {
        match self.security {
            Security::Plain => self.fault(Reply::new(502, (5, 1), "TLS is not offered")),
            Security::Secured => self.fault(Reply::new(503, (5, 1), "TLS is already there")),
            Security::Offered | Security::Required if !args.is_empty() => self.fault(Reply::new(501, (5, 4), "STARTTLS has no arguments")),
            Security::Offered | Security::Required => {
                self.forget();
                self.reply(Reply::new(220, (0, 0), "Ready to start TLS"));
                self.phase = Phase::StartTls;
                let waiting = self.buffer.len();
                self.take(waiting);
                self.actions.push_back(Action::StartTls);
            }
        }
    }
}

fn foreign() -> Reply {
    Reply::new(500, (5, 1), "This is SMTP, closing the connection")
}
