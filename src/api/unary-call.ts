import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { KilnError } from '../base/errors.ts';
import type { CallHandler, IncomingCall, Metadata, OpenCall } from './message-stream.ts';

/** `/package.Service/Method`. */
export function methodPath(method: {
  readonly name: string;
  readonly parent: { readonly typeName: string };
}): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** One request, one response, over raw calls. */
export async function callUnary<I extends DescMessage, O extends DescMessage>(
  open: OpenCall,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  options: { readonly metadata?: Metadata; readonly signal?: AbortSignal } = {},
): Promise<MessageShape<O>> {
  await using stream = await open(methodPath(method), options.metadata, options.signal);
  await stream.send(toBinary(method.input, create(method.input, request)));
  await stream.closeSend();
  let response: MessageShape<O> | undefined;
  for await (const message of stream) response ??= fromBinary(method.output, message);
  if (!response) throw new KilnError('internal', `${methodPath(method)} answered nothing`);
  return response;
}

/** The other end of `callUnary`. */
export function unaryHandler<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  answer: (request: MessageShape<I>, call: IncomingCall) => Promise<MessageInitShape<O>>,
): CallHandler {
  return async (call) => {
    for await (const message of call.stream) {
      const response = await answer(fromBinary(method.input, message), call);
      await call.stream.send(toBinary(method.output, create(method.output, response)));
      return;
    }
    throw new KilnError('invalid_argument', `${methodPath(method)} was called without a request`);
  };
}
