import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ConnectError } from '@connectrpc/connect';
import { asKilnError, type ErrorCode, KilnError } from '../base/errors.ts';
import { boundedText } from './bounded-text.ts';
import { decodeErrorDetail, encodeErrorDetail, encodeErrorDetails } from './error-detail.ts';
import { type Status, StatusSchema } from './gen/rpc_status_pb.js';
import { errorCodeNamed, errorCodeOf, statusNumber } from './status-code.ts';

/** The one place where errors and gRPC statuses turn into each other. */

const statusHeader = 'grpc-status';
const messageHeader = 'grpc-message';
const detailsHeader = 'grpc-status-details-bin';
/** Kiln's own: the hint, percent-encoded like the message, and the code where the status has another. Others ignore them. */
const hintHeader = 'x-kiln-error-hint';
const codeHeader = 'x-kiln-error-code';

/** What BuildKit gives a failed build; all else is `unknown` there. */
const buildCodes: ReadonlySet<ErrorCode> = new Set([
  'canceled',
  'deadline_exceeded',
  'unimplemented',
  'resource_exhausted',
  'internal',
]);

/**
 * What trailers may take, in bytes before they are encoded: text may become three times as long by that, the details longer by
 * a third. All together is below 64 KB, the least that is the default limit of an HTTP/2 implementation; beyond its limit,
 * a peer resets the call, and the error is lost.
 */
const messageLimit = 7 * 1024;
const hintLimit = 1024;
const detailsLimit = 29 * 1024;

/** HTTP/2 trailers of a finished call: status OK without an error. */
export type StatusTrailers = Readonly<Record<string, string>>;

/** Any thrown value as the trailers that end a gRPC call; undefined gives status OK. */
export function statusTrailers(error?: unknown): StatusTrailers {
  if (error === undefined) return { [statusHeader]: '0' };
  const failure = toKilnError(error);
  return {
    [statusHeader]: String(statusNumber(failure.code)),
    [messageHeader]: encodeURIComponent(boundedText(failure.message, messageLimit)),
    ...extraHeaders(failure, failure.code),
  };
}

/**
 * The error that a call's trailers (or the headers of a call that has nothing else) tell,
 * undefined for status OK.
 */
export function errorOfTrailers(
  trailers: Readonly<Record<string, string | string[] | undefined>>,
): KilnError | undefined {
  const field = (name: string) => {
    const value = trailers[name];
    return Array.isArray(value) ? value[0] : value;
  };
  const number = field(statusHeader);
  if (number === '0') return undefined;
  if (number === undefined) return new KilnError('internal', 'the call ended without a gRPC status');
  return fromParts(
    Number(number),
    percentDecode(field(messageHeader) ?? ''),
    field(detailsHeader),
    field(hintHeader),
    field(codeHeader),
  );
}

/** The message form of a build's failure, for protocols that carry one inside a message. */
export function toStatus(error: unknown): Status {
  const failure = toKilnError(error);
  return create(StatusSchema, {
    code: statusNumber(buildCode(failure)),
    message: failure.message,
    details: failure.details.map(encodeErrorDetail),
  });
}

/** BuildKit's clients print any code but `unknown` before the message, and people look for messages. */
function buildCode({ code }: KilnError): ErrorCode {
  return buildCodes.has(code) ? code : 'unknown';
}

export function fromStatus(status: Status): KilnError {
  return new KilnError(errorCodeOf(status.code), status.message, {
    details: status.details.map(decodeErrorDetail),
  });
}

/**
 * Any thrown value as the error that Connect puts on the wire. `build`: as a build fails, with no code that BuildKit would not give;
 * Kiln's own clients get it all the same.
 */
export function toConnectError(error: unknown, { build = false } = {}): ConnectError {
  if (error instanceof ConnectError) return error;
  const failure = toKilnError(error);
  const code = build ? buildCode(failure) : failure.code;
  // Connect rewrites the type URLs of details it encodes itself, so they go as the finished header.
  const headers = {
    ...extraHeaders(failure, code),
    ...(code !== failure.code && { [codeHeader]: failure.code }),
  };
  const message = boundedText(failure.message, messageLimit);
  return new ConnectError(message, statusNumber(code), headers, undefined, failure);
}

/** Any thrown value as a KilnError, those of Connect included. */
export function toKilnError(error: unknown): KilnError {
  if (!(error instanceof ConnectError)) return asKilnError(error);
  if (error.cause instanceof KilnError) return error.cause;
  return fromParts(
    error.code,
    error.rawMessage,
    error.metadata.get(detailsHeader) ?? undefined,
    error.metadata.get(hintHeader) ?? undefined,
    error.metadata.get(codeHeader) ?? undefined,
    error,
  );
}

function extraHeaders(error: KilnError, code: ErrorCode): Record<string, string> {
  const message = boundedText(error.message, messageLimit);
  const details = encodeErrorDetails(error.details, detailsLimit - Buffer.byteLength(message));
  const status = create(StatusSchema, { code: statusNumber(code), message, details });
  return {
    ...(details.length > 0
      ? { [detailsHeader]: Buffer.from(toBinary(StatusSchema, status)).toString('base64') }
      : {}),
    ...(error.hint === undefined
      ? {}
      : { [hintHeader]: encodeURIComponent(boundedText(error.hint, hintLimit)) }),
  };
}

function fromParts(
  number: number,
  message: string,
  details: string | undefined,
  hint: string | undefined,
  code: string | undefined,
  cause?: unknown,
): KilnError {
  const named = code === undefined ? undefined : errorCodeNamed(code);
  return new KilnError(named ?? errorCodeOf(number), message, {
    cause,
    hint: hint === undefined ? undefined : percentDecode(hint),
    details: details === undefined ? [] : decodeDetails(details),
  });
}

function decodeDetails(base64: string) {
  try {
    return fromBinary(StatusSchema, Buffer.from(base64, 'base64')).details.map(decodeErrorDetail);
  } catch {
    return [];
  }
}

/** A message that is not validly encoded is shown as it came. */
function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
