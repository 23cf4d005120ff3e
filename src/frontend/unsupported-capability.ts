import { KilnError } from '../base/errors.ts';

/** The error of a request that needs what its frontend cannot do. */
export function unsupportedCapability(id: string): KilnError {
  return new KilnError('unimplemented', `unsupported frontend capability ${id}`, {
    details: [{ kind: 'capability', id }],
  });
}
