import type { Json } from '../base/json/json-steps.ts';
import type { Platform } from '../base/platform.ts';
import type { OpGraph } from '../llb/graph.ts';
import type { Input } from '../llb/op.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Capture } from './capture.ts';
import type { RequestAccount } from './request-account.ts';

/** All that is known of how one result was made. A predicate tells some of it. */
export interface ProvenanceAccount {
  readonly build: BuildFacts;
  readonly capture: Capture;
  /** Undefined for a definition that a client solved without a frontend. */
  readonly request: RequestAccount | undefined;
  /** What the client asked for, if `request` is one that a frontend or the client's own code made of it. */
  readonly root: RequestAccount | undefined;
  readonly graph: OpGraph;
  /** The layers of what steps made, as far as they have blobs when this is called. */
  layers(): Promise<readonly StepLayers[]>;
}

/** What all results of a build have in common. */
export interface BuildFacts {
  readonly invocationId: string;
  readonly startedAt: Date;
  /** The time of the first call: what is made later of the same build says the same. */
  finishedAt(): Date;
  readonly platform: Platform;
  /** Of the frontend that is built in. */
  readonly dockerfileVersion: string;
  readonly compatibilityVersion: number;
  /** What the daemon's configuration adds to each predicate. */
  readonly environment: Readonly<Record<string, Json>>;
}

export interface StepLayers {
  /** An output of a vertex. */
  readonly step: Input;
  /** Bottom first. */
  readonly layers: readonly Descriptor[];
}
