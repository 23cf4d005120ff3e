import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ConnectError } from '@connectrpc/connect';
import { asKilnError, KilnError } from '../base/errors.ts';
import { decodeErrorDetail, encodeErrorDetail } from './error-detail.ts';
import { type Status, StatusSchema } from './gen/rpc_status_pb.js';
import { errorCodeOf, statusNumber } from './status-code.ts';

/** The one place where errors and gRPC statuses turn into each other. */

const statusHeader = 'grpc-status';
const messageHeader = 'grpc-message';
const detailsHeader = 'grpc-status-details-bin';
/** Kiln's own: the hint, percent-encoded like the message. Others ignore it. */
const hintHeader = 'x-kiln-error-hint';

/** HTTP/2 trailers of a finished call: status OK without an error. */
export type StatusTrailers = Readonly<Record<string, string>>;

/** Any thrown value as the trailers that end a gRPC call; undefined gives status OK. */
export function statusTrailers(error?: unknown): StatusTrailers {
  if (error === undefined) return { [statusHeader]: '0' };
  const failure = toKilnError(error);
  return {
    [statusHeader]: String(statusNumber(failure.code)),
    [messageHeader]: encodeURIComponent(failure.message.toWellFormed()),
    ...extraHeaders(failure),
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
  );
}

/** The message form of a status, for protocols that carry one inside a message. */
export function toStatus(error: unknown): Status {
  const failure = toKilnError(error);
  return create(StatusSchema, {
    code: statusNumber(failure.code),
    message: failure.message,
    details: failure.details.map(encodeErrorDetail),
  });
}

export function fromStatus(status: Status): KilnError {
  return new KilnError(errorCodeOf(status.code), status.message, {
    details: status.details.map(decodeErrorDetail),
  });
}

/** Any thrown value as the error that Connect puts on the wire. */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  const failure = toKilnError(error);
  // Connect rewrites the type URLs of details it encodes itself, so they go as the finished header.
  return new ConnectError(
    failure.message,
    statusNumber(failure.code),
    extraHeaders(failure),
    undefined,
    failure,
  );
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
    error,
  );
}

function extraHeaders(error: KilnError): Record<string, string> {
  return {
    ...(error.details.length > 0
      ? { [detailsHeader]: Buffer.from(toBinary(StatusSchema, toStatus(error))).toString('base64') }
      : {}),
    ...(error.hint === undefined ? {} : { [hintHeader]: encodeURIComponent(error.hint.toWellFormed()) }),
  };
}

function fromParts(
  number: number,
  message: string,
  details: string | undefined,
  hint: string | undefined,
  cause?: unknown,
): KilnError {
  return new KilnError(errorCodeOf(number), message, {
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
