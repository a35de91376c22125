export { backendCases, describeBackend, type ConformanceCase, type ConformanceOptions, type TestRunner } from './conformance.js';
export { externalFiles, inspectGraph, instrument, type GraphInputs, type GraphReport, type Instrumented, type Segment } from './graph/index.js';
