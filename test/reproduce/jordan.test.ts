import { jordan } from "../../reproduce/experiments/jordan.ts";
import { shortForms } from "./short-forms.ts";

shortForms(jordan);
