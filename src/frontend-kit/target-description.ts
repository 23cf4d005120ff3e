/** Something that can be built. Lines count from 1. */
export interface TargetDescription {
  readonly name: string;
  readonly description?: string;
  readonly isDefault?: boolean;
  readonly line?: number;
}

/** What a target takes. */
export interface TargetOutline extends Omit<TargetDescription, 'name'> {
  readonly name?: string;
  readonly args?: readonly OutlineParameter[];
  readonly secrets?: readonly { readonly name: string; readonly required: boolean }[];
  readonly agents?: readonly { readonly name: string; readonly required: boolean }[];
}

export interface OutlineParameter {
  readonly name: string;
  readonly description?: string;
  /** What it is when the client says nothing. */
  readonly value?: string;
  readonly line?: number;
}
