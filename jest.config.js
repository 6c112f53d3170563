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
  modulePathIgnorePatterns: ['/dist/'],
}
