const ON_CLUSTER = '<rootDir>/test/(.*/)?((cluster|charts|kube)/|cluster\\.test\\.ts$|[^/]*on-cluster)'
// run.ts plays the two halves one after the other where all suites are wanted.
const LEFT_OUT = { 'without a cluster': ON_CLUSTER, 'on a cluster': `^(?!${ON_CLUSTER})` }
const leftOut = LEFT_OUT[process.env.MILLHAND_TEST_HALF]

export default {
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testEnvironment: 'node',
  // Real processes on a machine that may be busy: nothing is measured by it.
  testTimeout: 30_000,
  // Most tests wait for processes and heartbeats, not for a processor.
  maxWorkers: 2,
  testSequencer: '<rootDir>/test/sequence.ts',
  globalSetup: '<rootDir>/test/global-setup.ts',
  globalTeardown: '<rootDir>/test/global-teardown.ts',
  testEnvironmentOptions: { customExportConditions: ['node', 'node-addons', 'millhand-source'] },
  reporters: ['default', '<rootDir>/test/suite-results.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {},
  testPathIgnorePatterns: ['/node_modules/', ...(leftOut ? [leftOut] : [])],
  modulePathIgnorePatterns: ['/dist/'],
}
