import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import { parseGoBool } from '../../base/text/go-bool.ts';
import { DeviceList } from './device-list.ts';
import { splitDeviceName } from './device-name.ts';
import type { Device, DeviceSpec } from './device-spec.ts';
import { parseDeviceSpec } from './parse-device-spec.ts';
import { parseYaml } from './parse-yaml.ts';

const autoAllowAnnotation = 'org.mobyproject.buildkit.device.autoallow';
const specFile = /\.(json|ya?ml)$/;

export interface DeviceRegistryOptions {
  /** Where CDI files are; a device of a later directory takes the place of the same one of an earlier. Missing ones are empty. */
  readonly directories: readonly string[];
  /** Devices (`vendor/class=name`) and kinds that builds get without being allowed to. */
  readonly autoAllowed: readonly string[];
  /** Told of files that cannot be read and of devices that two files claim, whenever the files have changed. */
  readonly onProblem: (message: string) => void;
}

/** What knows the devices of this machine. */
export interface DeviceSource {
  current(): Promise<DeviceList>;
}

export const noDevices: DeviceSource = { current: () => Promise.resolve(new DeviceList([])) };

interface FoundFile {
  readonly file: string;
  /** Position of its directory. */
  readonly priority: number;
  /** Differs when the file was written anew. */
  readonly version: string;
}

/** The devices that CDI files describe. Files are read again when they have changed. */
export class DeviceRegistry implements DeviceSource {
  readonly #options: DeviceRegistryOptions;
  #last: { readonly version: string; readonly list: DeviceList } | undefined;
  #reading: Promise<unknown> = Promise.resolve();

  constructor(options: DeviceRegistryOptions) {
    this.#options = options;
  }

  /** As the files are now. */
  current(): Promise<DeviceList> {
    const list = this.#reading.then(() => this.#read());
    this.#reading = list.catch(() => {});
    return list;
  }

  async #read(): Promise<DeviceList> {
    const files = await this.#find();
    const version = JSON.stringify(files);
    if (this.#last?.version === version) return this.#last.list;
    const claims: Claim[] = [];
    for (const { file, priority } of files) {
      const spec = await this.#parse(file);
      for (const device of spec ? this.#devicesOf(spec) : []) claims.push({ device, file, priority });
    }
    const list = new DeviceList(this.#settle(claims));
    this.#last = { version, list };
    return list;
  }

  async #find(): Promise<readonly FoundFile[]> {
    const files: FoundFile[] = [];
    for (const [priority, directory] of this.#options.directories.entries()) {
      for (const name of await this.#namesIn(directory)) {
        const file = path.join(directory, name);
        const stats = await stat(file, { bigint: true }).catch(() => undefined);
        if (!stats || stats.isDirectory()) continue;
        const { ino, size, mtimeNs, ctimeNs } = stats;
        files.push({ file, priority, version: [ino, size, mtimeNs, ctimeNs].join(' ') });
      }
    }
    return files;
  }

  async #namesIn(directory: string): Promise<readonly string[]> {
    try {
      return (await readdir(directory)).filter((name) => specFile.test(name)).sort();
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT')
        this.#options.onProblem(`cannot list the CDI directory ${directory}: ${(error as Error).message}`);
      return [];
    }
  }

  async #parse(file: string): Promise<DeviceSpec | undefined> {
    try {
      return parseDeviceSpec(await parseYaml(await readFile(file, 'utf8')));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      this.#options.onProblem(`cannot use the CDI file ${file}: ${(error as Error).message}`);
      return undefined;
    }
  }

  #devicesOf(spec: DeviceSpec): readonly Device[] {
    return spec.devices.map(({ name, annotations: own, edits }) => {
      const annotations = { ...spec.annotations, ...own };
      const qualified = `${spec.kind}=${name}`;
      return {
        name: qualified,
        annotations,
        autoAllowed: this.#isAutoAllowed(qualified, annotations),
        edits,
        spec,
      };
    });
  }

  #isAutoAllowed(name: string, annotations: Device['annotations']): boolean {
    const { autoAllowed } = this.#options;
    return (
      autoAllowed.includes(name) ||
      autoAllowed.includes(splitDeviceName(name).kind) ||
      parseGoBool(annotations[autoAllowAnnotation] ?? '') === true
    );
  }

  /** One device a name: that of the last directory. Two files of one directory that claim a name both lose it. */
  #settle(claims: readonly Claim[]): readonly Device[] {
    return [...Map.groupBy(claims, ({ device }) => device.name)].flatMap(([name, all]) => {
      const last = Math.max(...all.map(({ priority }) => priority));
      const best = all.filter(({ priority }) => priority === last);
      if (best.length === 1) return [best[0]!.device];
      const files = best.map(({ file }) => file).join(' and ');
      this.#options.onProblem(`the CDI files ${files} both describe ${name}: neither counts`);
      return [];
    });
  }
}

interface Claim {
  readonly device: Device;
  readonly file: string;
  readonly priority: number;
}
