import type { Platform } from '../../../../base/platform.ts';
import type { ContainerConfig, HistoryEntry } from '../../../../oci/image-config.ts';
import { historyEntry, type ImageDraft } from '../values/image-draft.ts';

/** Keys of a config that hold as many things as a Dockerfile has lines. */
type Growing = 'Env' | 'Labels' | 'ExposedPorts' | 'Volumes' | 'OnBuild';

/**
 * An image config while instructions add to it. Its lists and maps are changed in place: a copy for every instruction would take
 * quadratic time.
 */
export class GrowingImage {
  #image: ImageDraft;
  readonly #history: HistoryEntry[];
  readonly #env: string[];
  /** The first position of each name in `#env`. */
  readonly #places = new Map<string, number>();
  readonly #labels: Map<string, string>;
  readonly #ports: Set<string>;
  readonly #volumes: Set<string>;
  readonly #triggers: string[];

  constructor(start: ImageDraft) {
    const { Env = [], Labels = {}, ExposedPorts = {}, Volumes = {}, OnBuild = [] } = start.config;
    this.#image = start;
    this.#history = [...start.history];
    this.#env = [...Env];
    for (const [at, entry] of Env.entries()) {
      const name = entry.split('=', 1)[0]!;
      if (!this.#places.has(name)) this.#places.set(name, at);
    }
    this.#labels = new Map(Object.entries(Labels));
    this.#ports = new Set(Object.keys(ExposedPorts));
    this.#volumes = new Set(Object.keys(Volumes));
    this.#triggers = [...OnBuild];
  }

  /** The keys that do not grow. */
  get config(): Omit<ContainerConfig, Growing> {
    return this.#image.config;
  }

  get platform(): Platform {
    return this.#image.platform;
  }

  configure(config: Omit<ContainerConfig, Growing>): void {
    this.#image = { ...this.#image, config: { ...this.#image.config, ...config } };
  }

  setAuthor(author: string): void {
    this.#image = { ...this.#image, author };
  }

  setEnv(name: string, value: string): void {
    const at = this.#places.get(name) ?? this.#env.length;
    this.#places.set(name, at);
    this.#env[at] = `${name}=${value}`;
  }

  setLabel(name: string, value: string): void {
    this.#labels.set(name, value);
  }

  addPorts(ports: Iterable<string>): void {
    for (const port of ports) this.#ports.add(port);
  }

  addVolumes(paths: Iterable<string>): void {
    for (const path of paths) this.#volumes.add(path);
  }

  addTrigger(expression: string): void {
    this.#triggers.push(expression);
  }

  /** Adds a line of history. `layer`: the instruction changed files. `epoch` in seconds. */
  addHistory(createdBy: string, layer: boolean, epoch: number | undefined): void {
    this.#history.push(historyEntry(createdBy, layer, epoch));
  }

  /** The image as it is now. */
  get draft(): ImageDraft {
    const none = { Env: undefined, Labels: undefined, ExposedPorts: undefined, Volumes: undefined };
    return {
      ...this.#image,
      config: {
        ...this.#image.config,
        ...none,
        OnBuild: undefined,
        ...(this.#env.length > 0 && { Env: [...this.#env] }),
        ...(this.#labels.size > 0 && { Labels: Object.fromEntries(this.#labels) }),
        ...(this.#ports.size > 0 && { ExposedPorts: setOf(this.#ports) }),
        ...(this.#volumes.size > 0 && { Volumes: setOf(this.#volumes) }),
        ...(this.#triggers.length > 0 && { OnBuild: [...this.#triggers] }),
      },
      history: [...this.#history],
    };
  }
}

function setOf(names: Iterable<string>): Record<string, object> {
  return Object.fromEntries([...names].map((name) => [name, {}]));
}
