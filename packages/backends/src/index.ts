export { backendCases, type ConformanceCase } from './conformance.js';
export { inspectGraph, instrument, type GraphReport, type Instrumented } from './graph/index.js';
