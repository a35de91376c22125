/** How one stage of a picture was made. */
export interface StageMetadata {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly solver: string;
  readonly grid: string;
  /** Steps down the grid, from where the picture begins; a solver that goes back up in between (restart) takes more. */
  readonly steps: number;
  readonly sigmaMax: number;
  readonly guidance: number | 'function of sigma';
  /** Network calls per expert, in order of use. */
  readonly experts: readonly { readonly name: string; readonly calls: number }[];
}

/** How a picture was made: enough to make it again. Goes into the PNG's text chunks. */
export interface Metadata {
  readonly prompt: string | Readonly<Record<string, string>>;
  readonly negative?: string | Readonly<Record<string, string>>;
  readonly seed: number;
  readonly encoders: readonly string[];
  /** One line: stage: expert calls, … */
  readonly plan: string;
  readonly stages: readonly StageMetadata[];
  readonly paint?: { readonly phrases: readonly string[]; readonly statistic: string };
  readonly style?: { readonly strength: number };
  readonly control?: readonly { readonly network: string; readonly scale: number; readonly start: number; readonly end: number; readonly guess: boolean }[];
  readonly imagePrompt?: { readonly pictures: number; readonly scale?: number };
  readonly image?: { readonly strength: number; readonly masked: boolean };
  readonly versions: Readonly<Record<string, string>>;
}

/** `base: high 9, middle 11, low 5; sr1: sr1 8`. */
export const planText = (stages: readonly Pick<StageMetadata, 'name' | 'experts'>[]): string =>
  stages.map(({ name, experts }) => `${name}: ${experts.map((e) => `${e.name} ${e.calls}`).join(', ')}`).join('; ');
