import { KilnError } from '../../base/errors.ts';
import { parseKind, splitDeviceName } from './device-name.ts';
import type { Device } from './device-spec.ts';

const classAnnotation = 'org.mobyproject.buildkit.device.class';

/** What a step asks for: `vendor/class=name`, `vendor/class` (the first), `vendor/class=*` (all), or a class that devices are annotated with. */
export interface DeviceRequest {
  readonly name: string;
  readonly optional: boolean;
}

/** The devices that there are at one time, by their names. */
export class DeviceList {
  readonly devices: readonly Device[];

  constructor(devices: readonly Device[]) {
    this.devices = devices.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The devices of all requests, each once. Throws `not_found` for a request that is not optional and matches no device. */
  find(requests: readonly DeviceRequest[]): readonly Device[] {
    return [...new Set(requests.flatMap((request) => this.#findOne(request)))];
  }

  #findOne({ name: request, optional }: DeviceRequest): readonly Device[] {
    const named = this.#named(request);
    const found =
      named.length > 0
        ? named
        : this.devices.filter(({ annotations }) => annotations[classAnnotation] === request);
    if (found.length > 0 || optional) return found;
    throw new KilnError('not_found', `required device ${JSON.stringify(request)} is not registered`, {
      hint: 'a CDI file on the machine of the daemon has to describe it; kiln debug workers --verbose lists what there is',
    });
  }

  #named(request: string): readonly Device[] {
    const { kind, name } = splitDeviceName(request);
    if (!parseKind(kind)) return [];
    const ofKind = this.devices.filter((device) => splitDeviceName(device.name).kind === kind);
    switch (name) {
      case '':
        return ofKind.slice(0, 1);
      case '*':
        return ofKind;
      default:
        return ofKind.filter((device) => device.name === request);
    }
  }
}
