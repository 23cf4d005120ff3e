/** One way to break the scheduler: a text that occurs once in a file below `src/solver/`, and what stands there instead. */
export interface Mutation {
  /** What the broken scheduler does. */
  readonly name: string;
  readonly file: string;
  readonly text: string;
  readonly replacement: string;
}

export const mutations: readonly Mutation[] = [
  {
    name: 'does not move an edge when somebody begins to wait for it',
    file: 'edge/edge-node.ts',
    text: 'this.#waiters.add(waiter, wanted);\n    this.wake();',
    replacement: 'this.#waiters.add(waiter, wanted);',
  },
  {
    name: 'lets nobody know that a content key was aborted',
    file: 'vertex/vertex-node.ts',
    text: 'this.#content[position] = undefined;\n        for (const edge of this.#edges) edge.contentChanged(position);',
    replacement: 'this.#content[position] = undefined;',
  },
  {
    name: 'goes on where nobody waits any more',
    file: 'vertex/vertex-node.ts',
    text: 'if (!this.wanted) for (const call of this.#calls) call.abort();',
    replacement: '',
  },
  {
    name: 'runs equal work twice when it is found equal only by content',
    file: 'edge/edge-node.ts',
    text: 'if (leader && leader !== this.vertex && leader.canLead(this.index)) {',
    replacement: 'if (leader && false) {',
  },
  {
    name: 'finds a result where only one input leads to it',
    file: 'edge/key-lookup.ts',
    text: 'intersection(this.#inputs.map((input) => input.matched))',
    replacement: 'intersection(this.#inputs.slice(0, 1).map((input) => input.matched))',
  },
  {
    name: 'does not tell selectors apart',
    file: 'edge/edge-input.ts',
    text: 'input: this.position, selector };',
    replacement: 'input: this.position, selector: undefined };',
  },
  {
    name: 'gives a job that ignores the cache what a job that does not has found',
    file: 'graph/shared-graph.ts',
    text: 'if (plain) return digest;',
    replacement: 'if (plain || inputs.length > 0) return digest;',
  },
  {
    name: 'keeps a result that came after its vertex had failed or was done',
    file: 'edge/edge-node.ts',
    text: "if (this.#state.kind === 'done') {\n      this.vertex.releaseResult(result);\n      return;",
    replacement: "if (this.#state.kind === 'done') {\n      return;",
  },
  {
    name: 'hands out the same handle to a result twice',
    file: 'edge/edge-node.ts',
    text: 'const result = this.#environment.traits.clone(outcome.result);',
    replacement: 'const result = outcome.result;',
  },
  {
    name: 'closes a job before what it ran has stopped',
    file: 'solver-job.ts',
    text: 'if (node.jobs.size === 0 && !node.wanted) await node.quiet();',
    replacement: '',
  },
  {
    name: 'leaves what runs running for a job that leaves',
    file: 'vertex/vertex-progress.ts',
    text: "if (this.#shown.kind === 'running')\n      events.vertex(",
    replacement: "if (this.#shown.kind === 'announced')\n      events.vertex(",
  },
];
