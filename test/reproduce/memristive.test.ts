import { memristive } from "../../reproduce/experiments/memristive.ts";
import { shortForms } from "./short-forms.ts";

shortForms(memristive);
