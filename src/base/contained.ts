/**
 * `work` as a callback that may be given to an emitter, a timer or a stream, where nobody would catch what it throws and the
 * process would end of it. Whatever it throws, at once or later, goes to `onFailure`, which ends that to which the
 * callback belongs (a call, a connection), and must not throw.
 */
export function contained<Args extends readonly unknown[]>(
  work: (...args: Args) => unknown,
  onFailure: (error: unknown) => void,
): (...args: Args) => void {
  return (...args) => {
    try {
      const result = work(...args);
      if (result instanceof Promise) result.catch(onFailure);
    } catch (error) {
      onFailure(error);
    }
  };
}
