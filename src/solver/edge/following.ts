import { level } from '../graph/level.ts';
import type { EdgePort, VertexPort } from '../graph/node-ports.ts';
import type { Waiter } from '../graph/waiter.ts';

/** An edge of `follower` waits for an edge of another vertex with equal work, whose progress is shown as the follower's, too. */
export class Following<R, C> implements Waiter {
  readonly leader: EdgePort<R, C>;
  readonly #follower: VertexPort<R, C>;
  readonly #onOutcome: () => void;

  /** `onOutcome` is called when the leader has a result or an error. */
  constructor(follower: VertexPort<R, C>, leader: EdgePort<R, C>, onOutcome: () => void) {
    this.leader = leader;
    this.#follower = follower;
    this.#onOutcome = onOutcome;
  }

  begin(): void {
    if (this.leader.outcome?.kind !== 'done') this.#follower.progress.started();
    this.leader.vertex.addFollower(this.#follower);
    this.leader.want(this, level.result);
  }

  woken(): void {
    this.#onOutcome();
  }

  /** Shows that the work of the leader is done. Returns whether this counts as cached: what came to be while it waited was done for it, too. */
  complete(leaderWasCached: boolean): boolean {
    const { progress, stores } = this.#follower;
    stores.shareSavesOf(this.leader.vertex.stores);
    const cached = leaderWasCached || progress.kind !== 'running';
    if (progress.kind === 'running') progress.completed({ cached });
    else progress.cached();
    return cached;
  }

  end(): void {
    this.leader.vertex.removeFollower(this.#follower);
  }

  /** Gives up before there is an outcome. */
  leave(): void {
    const { vertex } = this.leader;
    this.leader.unwant(this);
    this.#follower.outlast(vertex);
    this.end();
    this.#follower.progress.stopped();
  }
}
