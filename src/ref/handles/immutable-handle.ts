import { KilnError } from '../../base/errors.ts';
import type { WaitContext } from '../../base/progress.ts';
import type { SnapshotMount } from '../../snapshot/snapshot.ts';
import { layersOf } from '../records/record-layers.ts';
import { publicId, type RefRecord } from '../records/ref-record.ts';
import type { ImmutableRef, LayerInfo, MountedView, RefId, TreeReader } from '../ref.ts';
import type { HandleServices } from './handle-services.ts';

/** A handle to a committed or frozen record. It releases the record once; whoever makes the handle has retained the record. */
export class ImmutableHandle implements ImmutableRef {
  readonly id: RefId;
  readonly #record: RefRecord;
  readonly #services: HandleServices;
  #isReleased = false;

  constructor(record: RefRecord, services: HandleServices) {
    this.#record = record;
    this.#services = services;
    this.id = publicId(record);
  }

  /** Throws `internal` when the handle is released. */
  get record(): RefRecord {
    if (this.#isReleased) throw new KilnError('internal', `ref ${this.id} is used after its release`);
    return this.#record;
  }

  get description(): string {
    return this.#record.description;
  }

  clone(): ImmutableRef {
    return openHandle(this.record, this.#services);
  }

  /** Ends this handle without a release: another handle takes over. */
  surrender(): void {
    this.#isReleased = true;
  }

  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#services.lifecycle.release(this.#record);
  }

  async snapshotMount(context?: WaitContext): Promise<SnapshotMount> {
    return this.#services.files.snapshotMount(await this.#unpacked(context), { readonly: true });
  }

  async mount(context?: WaitContext): Promise<MountedView> {
    const record = await this.#unpacked(context);
    await this.#services.files.partlyHere(record)?.complete(context?.signal);
    return await this.#services.files.mountReadonly(record);
  }

  async mountPartly(context?: WaitContext): Promise<MountedView> {
    return this.#services.files.mountReadonly(await this.#unpacked(context));
  }

  async layerDirs(context?: WaitContext): Promise<readonly string[]> {
    return this.#services.files.layerDirs(await this.#unpacked(context));
  }

  reader(signal: AbortSignal): TreeReader | undefined {
    return this.#services.files.reader(this.record, signal);
  }

  layers(): readonly LayerInfo[] {
    return layersOf(this.record, this.#services.records).map((layer) => ({
      id: publicId(layer),
      blobs: layer.blobs,
      createdAt: layer.createdAt,
      description: layer.description,
    }));
  }

  async #unpacked(context: WaitContext | undefined): Promise<RefRecord> {
    const { record } = this;
    await this.#services.files.materialize(record, context);
    return record;
  }
}

/** Retains the record and returns a handle to it. */
export function openHandle(record: RefRecord, services: HandleServices): ImmutableRef {
  services.lifecycle.retain(record);
  return new ImmutableHandle(record, services);
}

/** Throws `invalid_argument` when the ref was not made by a ref store of this kind, `internal` when it is released. */
export function handleOf(ref: ImmutableRef): ImmutableHandle {
  if (!(ref instanceof ImmutableHandle)) {
    throw new KilnError('invalid_argument', `ref ${ref.id} belongs to another store`);
  }
  return ref;
}

/** Returns the record of a ref, committed for good, so that something can be built on it. */
export async function finalRecordOf(ref: ImmutableRef, { lifecycle }: HandleServices): Promise<RefRecord> {
  const { record } = handleOf(ref);
  await lifecycle.finalize(record);
  return record;
}
