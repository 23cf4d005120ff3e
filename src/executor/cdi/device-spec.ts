import type { ContainerEdits } from './container-edits.ts';

export type Annotations = Readonly<Record<string, string>>;

/** A CDI file: devices of one kind, and what each of them brings besides its own edits. */
export interface DeviceSpec {
  readonly version: string;
  /** `vendor/class`. */
  readonly kind: string;
  readonly annotations: Annotations;
  readonly edits: ContainerEdits;
  readonly devices: readonly SpecDevice[];
}

export interface SpecDevice {
  readonly name: string;
  readonly annotations: Annotations;
  readonly edits: ContainerEdits;
}

/** A device that steps can ask for. */
export interface Device {
  /** Qualified: `vendor/class=name`. */
  readonly name: string;
  /** The file's and the device's own. */
  readonly annotations: Annotations;
  /** Builds get it without being allowed to. */
  readonly autoAllowed: boolean;
  readonly edits: ContainerEdits;
  /** The file it comes from, whose edits are made once however many of its devices are used. */
  readonly spec: DeviceSpec;
}
