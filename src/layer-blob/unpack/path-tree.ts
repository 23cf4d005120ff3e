import type { ByteString } from '../../base/text/byte-string.ts';

interface Node<Value> {
  value?: Value;
  readonly inside: Map<ByteString, Node<Value>>;
}

/** What is known of paths, and forgotten with what is below them. */
export class PathTree<Value> {
  readonly #root: Node<Value> = { inside: new Map() };

  get(path: ByteString): Value | undefined {
    let node: Node<Value> | undefined = this.#root;
    for (const name of path.split('/')) node = node?.inside.get(name);
    return node?.value;
  }

  set(path: ByteString, value: Value): void {
    let node = this.#root;
    for (const name of path.split('/')) {
      let inside = node.inside.get(name);
      if (!inside) {
        inside = { inside: new Map() };
        node.inside.set(name, inside);
      }
      node = inside;
    }
    node.value = value;
  }

  /** Forgets a path and what is below it. */
  delete(path: ByteString): void {
    const names = path.split('/');
    const last = names.pop()!;
    let node: Node<Value> | undefined = this.#root;
    for (const name of names) node = node?.inside.get(name);
    node?.inside.delete(last);
  }

  /** In no particular order. */
  *entries(): Generator<readonly [path: ByteString, value: Value]> {
    const pending = [...this.#root.inside];
    for (let next = pending.pop(); next; next = pending.pop()) {
      const [path, { value, inside }] = next;
      if (value !== undefined) yield [path, value];
      for (const [name, node] of inside) pending.push([`${path}/${name}`, node]);
    }
  }
}
