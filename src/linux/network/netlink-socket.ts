import { closeSync } from 'node:fs';
import { bind, check, SystemError } from '../libc.ts';
import {
  message,
  type NetlinkMessage,
  parseAttributes,
  parseMessages,
  readText,
  readU32,
} from './netlink-message.ts';

const makeSocket = bind('int socket(int domain, int type, int protocol)');
const setOption = bind('int setsockopt(int fd, int level, int name, const void *value, unsigned int size)');
const send = bind('long send(int fd, const void *data, unsigned long size, int flags)');
const receive = bind('long recv(int fd, void *data, unsigned long size, int flags)');

const netlinkDomain = 16;
const raw = 3;
const closeOnExec = 0o2000000;
const routeProtocol = 0;
const netlinkLevel = 270;
const capAcknowledgements = 10;
const extendedAcknowledgements = 11;
/** The kernel sends no larger datagram to who does not ask for it. */
const receiveSize = 32768;

const errorType = 2;
const doneType = 3;
const errnoSize = 4;
/** The header of the request that an error repeats. */
const repeatedSize = 16;
const errorMessageAttribute = 1;

export const requestFlags = {
  request: 1,
  acknowledge: 4,
  dump: 0x300,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
} as const;

export interface NetlinkRequest {
  readonly type: number;
  /** Of `requestFlags`, or-ed, besides those that every request has. */
  readonly flags?: number;
  readonly body: Buffer;
  /** What the error says that could not be done. */
  readonly what: string;
}

/**
 * A conversation with the kernel about the network namespace that the thread was in when the socket was made (rtnetlink(7)). The kernel does what a
 * request says before the call that sends it returns.
 */
export class NetlinkSocket implements Disposable {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(receiveSize);
  #sequence = 0;

  /** Throws a SystemError. */
  constructor() {
    this.#fd = check(makeSocket(netlinkDomain, raw | closeOnExec, routeProtocol), 'socket');
    for (const option of [capAcknowledgements, extendedAcknowledgements]) {
      setOption(this.#fd, netlinkLevel, option, Int32Array.of(1), 4);
    }
  }

  /** Does what the requests say, in order. Throws a SystemError for the first that fails; those after it are made all the same. */
  change(...requests: readonly NetlinkRequest[]): void {
    const sent = requests.map((request) => ({ ...request, sequence: ++this.#sequence }));
    this.#send(
      sent.map((request) =>
        message({
          ...request,
          flags: (request.flags ?? 0) | requestFlags.request | requestFlags.acknowledge,
        }),
      ),
      requests[0]!.what,
    );
    const waiting = new Map(sent.map((request) => [request.sequence, request.what]));
    let failure: SystemError | undefined;
    while (waiting.size > 0) {
      for (const { type, sequence, body } of this.#receive()) {
        const what = waiting.get(sequence);
        if (type !== errorType || what === undefined) continue;
        waiting.delete(sequence);
        failure ??= failureOf(body, what);
      }
    }
    if (failure) throw failure;
  }

  /** What the kernel answers: one message, or all of a dump. Throws a SystemError. */
  ask(request: NetlinkRequest): NetlinkMessage[] {
    const sequence = ++this.#sequence;
    const flags = (request.flags ?? 0) | requestFlags.request;
    this.#send([message({ ...request, flags, sequence })], request.what);
    const answers: NetlinkMessage[] = [];
    for (;;) {
      for (const answer of this.#receive()) {
        if (answer.sequence !== sequence) continue;
        if (answer.type === doneType) return answers;
        const failure = answer.type === errorType ? failureOf(answer.body, request.what) : undefined;
        if (failure) throw failure;
        // The buffer is used again.
        answers.push({ ...answer, body: Buffer.from(answer.body) });
        if ((flags & requestFlags.dump) === 0) return answers;
      }
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #send(messages: readonly Buffer[], what: string): void {
    const bytes = Buffer.concat(messages);
    check(send(this.#fd, bytes, bytes.length, 0), what);
  }

  #receive(): NetlinkMessage[] {
    const length = check(receive(this.#fd, this.#buffer, this.#buffer.length, 0), 'recv');
    return parseMessages(this.#buffer.subarray(0, length));
  }
}

/** Undefined for an acknowledgement. */
function failureOf(body: Buffer, what: string): SystemError | undefined {
  const errno = -(readU32(body, 0) | 0);
  if (errno === 0) return undefined;
  const said = parseAttributes(body.subarray(errnoSize + repeatedSize)).get(errorMessageAttribute);
  return new SystemError(said ? `${what} (${readText(said)})` : what, errno);
}
