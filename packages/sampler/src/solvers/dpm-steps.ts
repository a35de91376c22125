/*
 *   DPM-Solver-1, -2, -3 (arXiv 2206.00927, eqs. 3.7, 4.1, 4.2 with r₁ = 1/3, r₂ = 2/3), each from λ to λ′ with h = λ′ − λ:
 *   1:  x′ = (α′/α)·x − σ′·(e^h − 1)·ε
 *   2:  u₁ = 1 to λ + r₁h;  x′ = 1 − σ′/(2r₁)·(e^h − 1)·(ε₁ − ε)
 *   3:  u₂ = 1 to λ + r₂h − σ₂·(r₂/r₁)·((e^(r₂h) − 1)/(r₂h) − 1)·(ε₁ − ε);  x′ = 1 − σ′/r₂·((e^h − 1)/h − 1)·(ε₂ − ε)
 */
import { lincomb, type MaybePromise, type Tensor } from '@ediffi/core';
import type { Frame } from './solver.js';

/** What the steps need: α and σ(λ), the network as ε(x; σ), and a keeper of intermediates. */
export interface DpmContext {
  readonly at: Frame;
  epsilon(x: Tensor, sigma: number): Promise<Tensor>;
  own(tensor: MaybePromise<Tensor>): Promise<Tensor>;
}

/** From (x, σ) with its ε to (α′, σ′). `first` is ε₁ at λ + r₁h when it is known already. */
export interface DpmStep {
  readonly x: Tensor;
  readonly sigma: number;
  readonly epsilon: Tensor;
  readonly alphaNext: number;
  readonly sigmaNext: number;
}

const spanOf = ({ at }: DpmContext, { sigma, alphaNext, sigmaNext }: DpmStep): { a: number; lambda: number; h: number } => ({ a: at.alpha(sigma), lambda: at.lambda(sigma), h: Math.log(alphaNext / sigmaNext) - at.lambda(sigma) });

/** DPM-Solver-1. */
export function dpmStep1(context: DpmContext, step: DpmStep): MaybePromise<Tensor> {
  const { a, h } = spanOf(context, step);
  return lincomb([step.alphaNext / a, step.x], [-step.sigmaNext * Math.expm1(h), step.epsilon]);
}

/** ε₁ at λ + r·h: the second network call of orders 2 and 3. */
export async function dpmMiddle(context: DpmContext, step: DpmStep, r: number): Promise<Tensor> {
  const { a, lambda, h } = spanOf(context, step);
  const sigma = context.at.sigmaAt(lambda + r * h);
  return context.epsilon(await context.own(lincomb([context.at.alpha(sigma) / a, step.x], [-sigma * Math.expm1(r * h), step.epsilon])), sigma);
}

/** DPM-Solver-2 with ε₁ at λ + r·h. */
export function dpmStep2(context: DpmContext, step: DpmStep, middle: Tensor, r: number): MaybePromise<Tensor> {
  const { a, h } = spanOf(context, step);
  const c = (-step.sigmaNext * Math.expm1(h)) / (2 * r);
  return lincomb([step.alphaNext / a, step.x], [-step.sigmaNext * Math.expm1(h) - c, step.epsilon], [c, middle]);
}

/** DPM-Solver-3 with ε₁ at λ + h/3. */
export async function dpmStep3(context: DpmContext, step: DpmStep, middle: Tensor): Promise<Tensor> {
  const { a, lambda, h } = spanOf(context, step);
  const r = 2 / 3;
  const sigma = context.at.sigmaAt(lambda + r * h);
  const u = -2 * sigma * (Math.expm1(r * h) / (r * h) - 1);
  const y = await context.own(lincomb([context.at.alpha(sigma) / a, step.x], [-sigma * Math.expm1(r * h) - u, step.epsilon], [u, middle]));
  const last = await context.epsilon(y, sigma);
  const c = (-step.sigmaNext / r) * (Math.expm1(h) / h - 1);
  return lincomb([step.alphaNext / a, step.x], [-step.sigmaNext * Math.expm1(h) - c, step.epsilon], [c, last]);
}
