import type { NetworkNamespace } from '../linux/network/network-namespace.ts';

/** Where steps get networks that they share with nobody. Disposing takes back what was set up for all of them; no step may be running any more. */
export interface StepNetworks extends AsyncDisposable {
  /**
   * A network of which nobody has had the use, with a way to the outside. Throws `failed_precondition` when it cannot be set up, saying what the machine
   * lacks, `resource_exhausted` when there is no address left, and `canceled` on abort.
   */
  take(request: NetworkRequest): Promise<StepNetwork>;
}

export interface NetworkRequest {
  /** The name that the step asked for; empty for none. */
  readonly hostname: string;
  readonly signal: AbortSignal;
}

/** Disposing ends it, once no process is in it. */
export interface StepNetwork extends AsyncDisposable {
  readonly namespace: NetworkNamespace;
}
