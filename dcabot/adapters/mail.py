"""The alert's e-mail: one plain text message to one mail server."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from dcabot.adapters.config import MailSettings
from dcabot.adapters.trust import is_loopback

TIMEOUT_SECONDS = 20.0  # of one answer; the unit's own limit ends a server that talks for ever
TLS_PORT = 465


class MailError(Exception):
    """The message was not accepted; the text says why and holds no password."""


def send(settings: MailSettings, subject: str, body: str) -> None:
    """Hand one message to the mail server. Raises MailError."""
    place = f"{settings.server}:{settings.port}"
    try:
        with _session(settings) as session:
            if settings.user:
                _log_in(session, settings)
            session.send_message(_message(settings, subject, body))
    except ssl.SSLCertVerificationError as error:
        raise MailError(f"the certificate of {place} is not to be trusted: {error.verify_message}") from None
    except smtplib.SMTPAuthenticationError as error:
        # The server's words may repeat what was sent to it.
        raise MailError(f"{settings.server} refuses the login of {settings.user} ({error.smtp_code})") from None
    except smtplib.SMTPRecipientsRefused:
        raise MailError(f"{settings.server} refuses the receiver {settings.receiver}") from None
    except (OSError, smtplib.SMTPException, ValueError) as error:
        # ValueError: a server's name or an address that cannot be put into the protocol.
        why = "" if isinstance(error, ValueError) else f": {error}"
        raise MailError(f"no mail through {place} ({type(error).__name__}{why})") from None


def _session(settings: MailSettings) -> smtplib.SMTP:
    """A session, encrypted if it can be. Where a password will be sent it is encrypted, or there is none."""
    if settings.port == TLS_PORT:
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(settings.server, settings.port, timeout=TIMEOUT_SECONDS, context=context)
    session = smtplib.SMTP(settings.server, settings.port, timeout=TIMEOUT_SECONDS)
    # A mail server on this machine often offers STARTTLS with a certificate that nobody has signed.
    if is_loopback(settings.server) and not settings.user:
        return session
    try:
        session.ehlo_or_helo_if_needed()
        if session.has_extn("starttls"):
            session.starttls(context=ssl.create_default_context())
        elif settings.user:
            raise MailError(f"{settings.server}:{settings.port} offers no encryption: the password is not sent")
    except (OSError, smtplib.SMTPException, MailError):
        session.close()
        raise
    return session


def _log_in(session: smtplib.SMTP, settings: MailSettings) -> None:
    try:
        session.login(settings.user, settings.password)
    except UnicodeEncodeError:
        # Of smtplib's making; and its words would hold the password.
        raise MailError("ALERT_EMAIL_SMTP_USER and ALERT_EMAIL_SMTP_PASSWORD must be ASCII to be sent") from None


def _message(settings: MailSettings, subject: str, body: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = settings.sender
    message["To"] = settings.receiver
    message["Subject"] = subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain="dcabot.invalid")
    # An out-of-office reply to an alert helps nobody.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body)
    return message
