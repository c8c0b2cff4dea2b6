"""Hands a mail from standard input to a gateway with `smtplib`, and asks for every delivery notice (RFC 3461).

Ends with the exception of a refusal.
"""

import smtplib
import sys


def main():
    host, port, sender, recipient, envelope_id = sys.argv[1:]
    with smtplib.SMTP(host, int(port), timeout=60) as server:
        server.sendmail(
            sender,
            [recipient],
            sys.stdin.buffer.read(),
            mail_options=["BODY=8BITMIME", "RET=HDRS", f"ENVID={envelope_id}"],
            rcpt_options=["NOTIFY=SUCCESS,FAILURE,DELAY"],
        )


if __name__ == "__main__":
    main()
