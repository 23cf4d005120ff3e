import { KilnError } from '../errors.ts';
import type { Task } from '../thread-pool.ts';

export type EchoInput =
  | { readonly kind: 'answer'; readonly value: string }
  | { readonly kind: 'fail' }
  | { readonly kind: 'spin' }
  /** Loads a native module, as most tasks do. */
  | { readonly kind: 'load-native' };

const echo: Task<EchoInput, string, string> = async (input, context) => {
  switch (input.kind) {
    case 'answer':
      context.emit(`will answer ${input.value}`);
      return input.value;
    case 'fail':
      throw new KilnError('data_loss', 'it failed', { hint: 'try something else' });
    case 'spin':
      context.emit('spinning');
      for (;;) context.throwIfAborted();
    case 'load-native':
      await import('koffi');
      return 'loaded';
  }
};

export default echo;
