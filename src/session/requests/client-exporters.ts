import { Exporter } from '../../api/gen/session_exporter_pb.js';
import { callUnary } from '../../api/unary-call.ts';
import { asKilnError } from '../../base/errors.ts';
import type { Session, SessionManager } from '../session.ts';

/** What a client adds to its build once it sees the result. A client that offers no such service adds nothing. */
export interface ClientExporters {
  /** More outputs. `refs` are the ids under which the client can look at the trees. */
  find(
    sessionId: string,
    result: { readonly metadata: Readonly<Record<string, Uint8Array>>; readonly refs: readonly string[] },
    signal: AbortSignal,
  ): Promise<readonly { readonly type: string; readonly attrs: Readonly<Record<string, string>> }[]>;
  /** Tells the client that all outputs are there; it may refuse them. */
  finalize(sessionId: string, response: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void>;
}

export function createClientExporters(sessions: SessionManager): ClientExporters {
  const ask = async <T>(
    id: string,
    signal: AbortSignal,
    question: (open: Session['open']) => Promise<T>,
  ): Promise<T | undefined> => {
    const session = await sessions.get(id, signal);
    try {
      return await question(session.open.bind(session));
    } catch (error) {
      const { code } = asKilnError(error);
      if (code === 'unimplemented' || code === 'unavailable') return undefined;
      throw error;
    }
  };
  return {
    async find(id, { metadata, refs }, signal) {
      const request = { metadata: { ...metadata }, refs: [...refs] };
      const answer = await ask(id, signal, (open) =>
        callUnary(open, Exporter.method.findExporters, request, { signal }),
      );
      return answer?.exporters ?? [];
    },

    async finalize(id, exporterResponse, signal) {
      const request = { exporterResponse: { ...exporterResponse } };
      await ask(id, signal, (open) => callUnary(open, Exporter.method.finalizeExport, request, { signal }));
    },
  };
}
