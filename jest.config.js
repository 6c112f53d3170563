export default {
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testEnvironment: 'node',
  // Most tests wait for processes and heartbeats, not for a processor.
  maxWorkers: 2,
  testSequencer: '<rootDir>/test/sequence.ts',
  globalSetup: '<rootDir>/test/global-setup.ts',
  globalTeardown: '<rootDir>/test/global-teardown.ts',
  testEnvironmentOptions: { customExportConditions: ['node', 'node-addons', 'millhand-source'] },
  reporters: ['default', '<rootDir>/test/closing-line.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {},
  modulePathIgnorePatterns: ['/dist/'],
}
