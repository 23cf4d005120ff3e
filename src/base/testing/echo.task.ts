import { KilnError } from '../errors.ts';
import type { Task } from '../threads/task.ts';

export type EchoInput =
  | { readonly kind: 'answer'; readonly value: string }
  | { readonly kind: 'fail' }
  | { readonly kind: 'spin' }
  /** Never ends, and never looks whether it should. */
  | { readonly kind: 'spin-for-good' }
  /** Computes for so many milliseconds, and never looks whether it should end. */
  | { readonly kind: 'compute'; readonly milliseconds: number }
  /** Takes memory until there is none. */
  | { readonly kind: 'eat' }
  /** Waits until it should end. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'ask'; readonly question: string }
  /** Loads a native module, as most tasks do. */
  | { readonly kind: 'load-native' };

const echo: Task<EchoInput, string, string, string, string> = async (input, context) => {
  switch (input.kind) {
    case 'answer':
      context.emit(`will answer ${input.value}`);
      return input.value;
    case 'fail':
      throw new KilnError('data_loss', 'it failed', { hint: 'try something else' });
    case 'spin':
      context.emit('spinning');
      for (;;) context.throwIfAborted();
    case 'spin-for-good':
      context.emit('spinning');
      for (;;);
    case 'compute': {
      context.emit('computing');
      const until = performance.now() + input.milliseconds;
      while (performance.now() < until);
      return 'computed';
    }
    case 'eat':
      for (const eaten: number[][] = []; ; ) eaten.push(new Array<number>(100_000).fill(1.5));
    case 'wait':
      context.emit('waiting');
      await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      throw context.signal.reason;
    case 'ask':
      return `${input.question}: ${await context.ask(input.question)}`;
    case 'load-native':
      await import('koffi');
      return 'loaded';
  }
};

export default echo;
