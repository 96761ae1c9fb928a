/** The package ships no types. */
declare module "asl-validator" {
  /** It changes the definition that it is given. */
  export default function validate(definition: unknown): {
    isValid: boolean;
    errorsText: (separator: string) => string;
  };
}
