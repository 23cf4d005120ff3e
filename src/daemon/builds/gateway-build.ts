import type { Build } from '../../engine/engine.ts';
import type { Definition } from '../../llb/op.ts';
import type { GatewayContainers } from '../containers/gateway-containers.ts';
import type { GatewayRefs } from './gateway-refs.ts';

/** What is driven through the gateway: a whole build by its client, or a frontend's part of one by that frontend. */
export interface GatewayBuild {
  readonly build: Pick<Build, 'bridge' | 'return' | 'fail' | 'signal'>;
  readonly refs: GatewayRefs;
  readonly containers: GatewayContainers;
  /** Definitions that were sent along for whoever drives it. */
  readonly inputs: ReadonlyMap<string, Definition>;
}
