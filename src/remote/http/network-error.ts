import { KbError, isKbError } from '../../errors.js';
import { printable } from '../../printable.js';

const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'the host name is not known (no DNS entry, or no network)',
  EAI_AGAIN: 'the host name could not be looked up just now (no network?)',
  ECONNREFUSED: 'the connection was refused: nothing listens there',
  ECONNRESET: 'the connection was cut by the other side',
  ECONNABORTED: 'the connection was cut',
  ERR_STREAM_PREMATURE_CLOSE: 'the connection was cut before the reply was complete',
  EPIPE: 'the connection was closed by the other side',
  ETIMEDOUT: 'the connection timed out',
  EHOSTUNREACH: 'there is no route to the host',
  ENETUNREACH: 'there is no network',
  EHOSTDOWN: 'the host is down',
  EADDRNOTAVAIL: 'this machine has no free address for the connection',
  EPROTO: 'the two sides do not agree on how to encrypt (TLS)',
  CERT_HAS_EXPIRED: "the server's certificate has expired",
  CERT_NOT_YET_VALID: "the server's certificate is not valid yet (is this machine's clock right?)",
  ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for another host name",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the server's certificate is signed by itself",
  SELF_SIGNED_CERT_IN_CHAIN: "a certificate in the server's chain is signed by itself",
  UNABLE_TO_GET_ISSUER_CERT: "the issuer of the server's certificate is not known",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the issuer of the server's certificate is not known",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the issuer of the server's certificate is not known",
};

const NEXT_STEPS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'whoever runs the server must renew it; if the clock of this machine is wrong, set it',
  CERT_NOT_YET_VALID: 'set the clock of this machine; if it is right, tell whoever runs the server',
  ERR_TLS_CERT_ALTNAME_INVALID: 'use an address that the certificate names, or tell whoever runs the server',
};

/**
 * What node says about a broken connection, in plain words, as E_NETWORK. A certificate that is not
 * trusted does not get better by trying again, so it is not retryable.
 */
export function networkError(error: unknown, host: string): KbError {
  if (isKbError(error)) return error;
  const cause = innermost(error);
  const code = codeOf(cause);
  const isCertificate = /CERT|ISSUER|LEAF_SIGNATURE/.test(code);
  const reason = REASONS[code] ?? (code.startsWith('HPE_') ? 'the reply is not HTTP' : printable(messageOf(cause)));
  return new KbError('E_NETWORK', `no reply from ${host}: ${reason}${namedInstead(cause)}`, {
    cause: error,
    details: { host, errno: code },
    ...(isCertificate
      ? {
          retryable: false,
          hint:
            NEXT_STEPS[code] ??
            'name the right certificate authority in GIT_SSL_CAINFO, http.sslCAInfo or NODE_EXTRA_CA_CERTS (PEM files); ' +
              'that of the system is often /etc/ssl/certs/ca-certificates.crt',
        }
      : {}),
  });
}

/** The names that a certificate for another host has. */
function namedInstead(cause: unknown): string {
  if (codeOf(cause) !== 'ERR_TLS_CERT_ALTNAME_INVALID') return '';
  const { subjectaltname } = (cause as { cert?: { subjectaltname?: unknown } }).cert ?? {};
  return typeof subjectaltname === 'string' ? ` (${printable(subjectaltname, 200)})` : '';
}

/** Node tries all addresses of a host and wraps what each said. */
function innermost(error: unknown): unknown {
  return error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
