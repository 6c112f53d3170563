// The export `millhand/doctor`: what is wrong with a Redis, for the operator and the command line. Off every
// job's path.
export { type Examination, examineServer } from './facts.ts'
export { type Finding, isAtLeast, type Severity, worstFirst } from './finding.ts'
export { type Check, type ServerFacts, type ServerFinding, serverText } from './findings.ts'
export { tryOut } from './trials.ts'
