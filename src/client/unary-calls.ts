import { type DescMethodUnary, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { GenService, GenServiceMethods } from '@bufbuild/protobuf/codegenv2';
import type { Transport } from '@connectrpc/connect';
import type { OpenCall } from '../api/message-stream.ts';
import { methodPath } from '../api/unary-call.ts';
import { KilnError } from '../base/errors.ts';

/** Raw calls of a service's methods of one request and one response, over a transport that takes messages. */
export function unaryCalls(service: GenService<GenServiceMethods>, transport: Transport): OpenCall {
  const unary = service.methods.flatMap((method) =>
    method.methodKind === 'unary' ? [method as DescMethodUnary] : [],
  );
  const methods = new Map(unary.map((method) => [methodPath(method), method]));
  return async (path, metadata = {}, signal) => {
    const method = methods.get(path);
    if (!method) throw new KilnError('unimplemented', `there is no call ${path}`);
    const headers = Object.entries(metadata).flatMap(([name, values]) =>
      values.map((value): [string, string] => [name, value]),
    );
    let request: Uint8Array | undefined;
    return {
      async send(message: Uint8Array) {
        request = message;
      },
      async closeSend() {},
      async *[Symbol.asyncIterator]() {
        const message = fromBinary(method.input, request ?? new Uint8Array());
        const answer = await transport.unary(method, signal, undefined, headers, message);
        yield toBinary(method.output, answer.message);
      },
      async [Symbol.asyncDispose]() {},
    };
  };
}
