import type { DescService } from '@bufbuild/protobuf';
import { encodeBytesMessage } from '../../../src/api/bytes-message.ts';
import { Content } from '../../../src/api/gen/content_pb.js';
import { Control } from '../../../src/api/gen/control_pb.js';
import { LLBBridge } from '../../../src/api/gen/gateway_pb.js';
import { Health } from '../../../src/api/gen/health_pb.js';
import { CacheMounts } from '../../../src/api/gen/kiln_cache_mounts_pb.js';
import { Containers } from '../../../src/api/gen/kiln_containers_pb.js';
import { Debug } from '../../../src/api/gen/kiln_debug_pb.js';
import { Images } from '../../../src/api/gen/kiln_images_pb.js';
import { TraceService } from '../../../src/api/gen/trace_pb.js';
import { frameMessage } from '../../../src/api/grpc-framing.ts';
import { methodPath } from '../../../src/api/unary-call.ts';
import type { Random } from '../../../src/base/testing/random.ts';
import { sessionMethod } from '../../../src/session/tunnel.ts';
import { hostileTexts, mutateMessage } from './mutate-message.ts';
import { randomMessage, type Vocabulary } from './random-message.ts';

const services: readonly DescService[] = [
  Control,
  LLBBridge,
  Content,
  Health,
  Debug,
  Images,
  Containers,
  CacheMounts,
  TraceService,
];
const methods = services.flatMap((service) => service.methods);

/** Types and flags of HTTP/2 frames (RFC 9113). */
const frame = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  window: 8,
} as const;
const flag = { endStream: 1, endHeaders: 4 } as const;
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export interface HostileBytes {
  readonly bytes: Buffer;
  /** How many messages were made for it. */
  readonly messages: number;
}

/** What a client writes that makes one call, in order: nothing is wrong but what the caller makes wrong. */
export function connectionWith(headers: readonly Header[], ...messages: readonly Uint8Array[]): Buffer {
  return Buffer.concat([
    preface,
    frameOf(frame.settings, 0, 0, Buffer.alloc(0)),
    frameOf(frame.headers, flag.endHeaders, 1, headerBlock(headers)),
    ...messages.map((message) => frameOf(frame.data, 0, 1, frameMessage(message))),
  ]);
}

/** What a client writes that makes some calls, each with messages that are random or damaged, in frames that mostly are what they should be. */
export function hostileConnection(random: Random, words: Vocabulary): HostileBytes {
  const parts: Buffer[] = [preface, frameOf(frame.settings, 0, 0, Buffer.alloc(0))];
  let messages = 0;
  const calls = 1 + random.below(8);
  for (let call = 0; call < calls; call++) {
    const stream = call * 2 + 1;
    const isSession = random.chance(0.25);
    const method = random.pick(methods);
    parts.push(
      frameOf(
        frame.headers,
        random.chance(0.05) ? flag.endHeaders | flag.endStream : flag.endHeaders,
        stream,
        headerBlock(headersOf(random, isSession ? sessionMethod : methodPath(method), words)),
      ),
    );
    // A caller that is gone at once.
    if (random.chance(0.1)) parts.push(frameOf(frame.reset, 0, stream, Buffer.of(0, 0, 0, random.below(14))));
    for (let count = 1 + random.below(3); count > 0; count--) {
      messages++;
      const message = isSession ? tunnelBytes(random) : randomMessage(random, method.input, words);
      const framed = frameMessage(message);
      if (random.chance(0.1)) framed[random.below(5)] = random.below(256);
      const last = count === 1 && random.chance(0.7);
      parts.push(frameOf(frame.data, last ? flag.endStream : 0, stream, framed.subarray(0, 16_384)));
    }
    if (random.chance(0.05)) {
      const type = random.pick(Object.values(frame));
      parts.push(
        frameOf(
          type,
          random.below(256),
          random.below(20),
          Buffer.from(random.pick(hostileTexts).slice(0, 40)),
        ),
      );
    }
  }
  const bytes = Buffer.concat(parts);
  return { bytes: random.chance(0.05) ? mutateMessage(random, bytes) : bytes, messages };
}

/** A message of a session: bytes of the connection in it, on which the client is the server. */
function tunnelBytes(random: Random): Buffer {
  const frames = [
    frameOf(frame.settings, 0, 0, Buffer.alloc(0)),
    frameOf(frame.settings, 1, 0, Buffer.alloc(0)),
    frameOf(frame.ping, 0, 0, Buffer.alloc(8)),
    frameOf(frame.window, 0, 0, Buffer.of(0, 0, 1, 0)),
    frameOf(frame.headers, flag.endHeaders, 1, headerBlock([[':status', '200']])),
    frameOf(frame.data, 0, 1, frameMessage(Buffer.from(random.pick(hostileTexts)))),
    frameOf(frame.headers, 5, 1, headerBlock([['grpc-status', random.pick(hostileTexts).slice(0, 20)]])),
    frameOf(frame.goAway, 0, 0, Buffer.alloc(8)),
  ];
  const message = encodeBytesMessage(
    ...Array.from({ length: 1 + random.below(4) }, () => random.pick(frames)),
  );
  return random.chance(0.6) ? mutateMessage(random, message) : message;
}

export type Header = readonly [name: string, value: string];

function headersOf(random: Random, path: string, words: Vocabulary): readonly Header[] {
  const headers: Header[] = [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'localhost'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ['buildkit-controlapi-buildid', random.pick(words.texts)],
    ['x-docker-expose-session-uuid', `s${random.below(1e9)}`],
    ['x-docker-expose-session-grpc-method', '/moby.filesync.v1.FileSync/DiffCopy'],
  ];
  if (random.chance(0.25)) headers.splice(random.below(headers.length), 1);
  if (random.chance(0.25)) {
    const at = random.below(headers.length);
    headers[at] = [headers[at]![0], random.pick(hostileTexts)];
  }
  if (random.chance(0.25)) {
    headers.push([random.pick(['__proto__', 'constructor', 'grpc-timeout', 'grpc-encoding']), 'x']);
  }
  return headers;
}

function frameOf(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Literal fields, never indexed and without Huffman's code (RFC 7541, 6.2.2). */
function headerBlock(headers: readonly Header[]): Buffer {
  return Buffer.concat(headers.flatMap(([name, value]) => [Buffer.of(0), literal(name), literal(value)]));
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest > 127; rest >>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}
