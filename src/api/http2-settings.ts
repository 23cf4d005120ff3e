import http2 from 'node:http2';

/**
 * HTTP/2's default windows (64 KB) stop a sender at every round trip; these let a stream run ahead by megabytes, which is what
 * bulk transfers need even on a local socket. They bound what a peer can make this side buffer for a stream and a connection.
 */
const streamWindow = 4 * 1024 * 1024;
const connectionWindow = 16 * 1024 * 1024;

/** For `createServer`, `createSecureServer`, `performServerHandshake` and `connect`. */
export const sessionOptions = {
  settings: {
    initialWindowSize: streamWindow,
    maxFrameSize: 256 * 1024,
    maxHeaderListSize: 1024 * 1024,
    maxConcurrentStreams: 10_000,
    enablePush: false,
  },
  /** Megabytes; Node's default of 10 refuses streams on a busy tunnel. */
  maxSessionMemory: 256,
  maxHeaderListPairs: 20_000,
  maxSendHeaderBlockLength: 1024 * 1024,
} as const;

/** What clients may not say: servers advertise the number of streams, and only clients turn push off. */
export const serverSessionOptions = {
  ...sessionOptions,
  settings: { ...sessionOptions.settings, enablePush: undefined },
} as const;

/** The connection's own window can only be set on a live session. */
export function widenWindow(session: http2.Http2Session): void {
  session.setLocalWindowSize(connectionWindow);
}

export const {
  NGHTTP2_CANCEL,
  NGHTTP2_INTERNAL_ERROR,
  NGHTTP2_NO_ERROR,
  NGHTTP2_REFUSED_STREAM,
  NGHTTP2_ENHANCE_YOUR_CALM,
} = http2.constants;
