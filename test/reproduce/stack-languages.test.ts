import { stackLanguages } from "../../reproduce/experiments/stack-languages.ts";
import { shortForms } from "./short-forms.ts";

shortForms(stackLanguages);
